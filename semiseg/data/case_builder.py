"""Creation of the store's entries, and their lookup by the inputs they were made from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.data.case_files import ARRAY, Entries, writing_to
from semiseg.data.case_records import StoredImage, StoredLabeled, StoredPseudo
from semiseg.data.digests import Digests, digest_text, digest_volume
from semiseg.data.fingerprint import describe_reader
from semiseg.data.foreground import Planes, count_planes
from semiseg.data.pseudo.files import PseudoFile
from semiseg.data.pseudo.reading import prepared_pseudo, read_pseudo
from semiseg.data.scan_checks import digest_of, scan_digest
from semiseg.data.verify import check_image, check_label
from semiseg.interfaces.dataset import Dataset
from semiseg.messages import some
from semiseg.preprocessing.preparation import Preparation, count_foreground
from semiseg.preprocessing.prepare import nonzero_box, prepare
from semiseg.preprocessing.resampling import LABEL_RULE
from semiseg.recipe import schema
from semiseg.types import IGNORED, Case

FORMAT = 3
"""Increase this whenever semiseg makes different entries from the same files, so that old ones are no longer used."""


class CaseMaker:
    """A maker of entries of single cases; safe to use from several threads and processes.

    A key is the hash of the case's id, its files' content, the reader (``describe_reader``), the meaning of voxels, the
    preprocessing, and FORMAT. It includes the id because one file may hold several cases. For a case without image
    files, the voxels are read each time and replace the files' content.
    """

    def __init__(self, root: Path, dataset: Dataset, options: schema.Preprocessing) -> None:
        """Raise DataError for an option that names an unreadable file."""
        self._root = root
        self._entries, self._digests = Entries(root / "entries"), Digests(root / "digests")
        self._checked = root / "checked"
        self._dataset, self._options = dataset, options
        self._reader = describe_reader(dataset, self._digests)
        self._no_files: dict[str, str] = {}
        self._damaged = set[str]()
        self.made = set[str]()
        """Ids of the cases for which this object made an entry or ran a check, rather than finding it done."""
        self.counted = set[str]()
        """Keys of the entries of counts by plane."""

    def sweep(self) -> None:
        """Remove leftovers of killed writers."""
        self._entries.sweep()

    def notes(self) -> list[str]:
        """Return what the user should know about the store itself."""
        return [*self._damage_notes(), *self._digests.notes()]

    def _damage_notes(self) -> list[str]:
        if not self._damaged:
            return []
        cases = "1 case" if len(self._damaged) == 1 else f"{len(self._damaged)} cases"
        return [
            f"rebuilding the case store's entries of {cases}, which were damaged or written by an earlier version"
            f" without a digest of the voxels: {some(sorted(self._damaged), 5)}"
        ]

    def image(self, case: Case) -> StoredImage:
        """Return the entry of a case's image. Raises DataError for unusable files."""
        key = self._image_key(case)
        record = self._read(case, key)
        if record is None:
            volume = self._dataset.read_image(case)
            check_image(self._dataset, volume)
            prepared = prepare(volume, self._options, f"case {case.id}", self._dataset.info().modalities)
            record = prepared.preparation.as_dict()
            if prepared.preparation.grid:  # the entry no longer has the scan's voxels
                self.scan(case, lambda: scan_digest(volume))
            self._entries.write(key, prepared.array, record)
            self.made.add(case.id)
        preparation = Preparation.from_dict(record, self._options.slice_axis)
        return StoredImage(case.id, self._entries.path(key) / ARRAY, preparation)

    def labeled(self, case: Case, image: StoredImage, with_planes: bool = False) -> StoredLabeled:
        """Return the entry of a case's label, in the box of its image. Raises DataError for an unusable file.

        ``with_planes``: with its counts by plane, an entry of their own; entries of earlier versions have none.
        """
        assert case.label is not None
        rule = [LABEL_RULE] if image.preparation.grid else []
        key = self._key("label", self._image_key(case), self._label_content(case), self._label_meaning(), *rule)
        record = self._read(case, key)
        if record is None:
            label = self._dataset.read_label(case)
            check_label(self._dataset, case, label, image.preparation.geometry)
            has_ignored = self._dataset.info().has_ignored
            cut, n_outside = image.preparation.cut_label(label.array, has_ignored)
            box = nonzero_box(cut[None]) or ((0, 1),) * 3  # an empty file cannot be memory-mapped
            record = {
                "n_foreground": count_foreground(cut, has_ignored),
                "n_outside": n_outside,
                "start": [first for first, _ in box],
            }
            if has_ignored:
                record["n_known"] = int(np.count_nonzero(cut != IGNORED))
            self._entries.write(key, np.ascontiguousarray(cut[tuple(slice(*side) for side in box)]), record)
            self.made.add(case.id)
        label_file, (x, y, z) = self._entries.path(key) / ARRAY, record["start"]
        counts = record["n_foreground"], record["n_outside"], record.get("n_known")
        planes = self._planes(case, key, label_file) if with_planes else None
        return StoredLabeled(case.id, image.image_file, image.preparation, label_file, (x, y, z), *counts, planes)

    def pseudo(
        self, image: StoredImage, case: Case, file: PseudoFile, threshold: float | None, with_planes: bool = False
    ) -> tuple[StoredPseudo, int]:
        """Return the entry of another model's label map of a case, and how many of its voxels are not ignored.

        ``threshold``: the confidence below which voxels are ignored, if ``file`` has a confidence. Raises DataError for
        unusable files.
        """
        rule = [LABEL_RULE] if image.preparation.grid else []
        contents = self.contents(file)
        key = self._key("pseudo", self._image_key(case), contents, threshold, self._label_meaning(), *rule)
        record, info = self._read(case, key), self._dataset.info()
        if record is None:
            found = read_pseudo(file, info, image.preparation.geometry)
            labels = prepared_pseudo(*found, threshold, image.preparation, info.has_ignored)
            record = {"n_known": int(np.count_nonzero(labels != IGNORED))}
            self._entries.write(key, labels, record)
            self.made.add(case.id)
        pseudo_file = self._entries.path(key) / ARRAY
        planes = self._planes(case, key, pseudo_file) if with_planes else None
        may_ignore = info.has_ignored or threshold is not None
        stored = StoredPseudo(case.id, image.image_file, image.preparation, pseudo_file, planes, may_ignore)
        return stored, record["n_known"]

    def contents(self, file: PseudoFile) -> list[str]:
        """Return the SHA-256 of the label map and, if it is used, of its confidence map."""
        return [self._digests.of(path) for path in file.paths]

    def _planes(self, case: Case, label_key: str, label_file: Path) -> Planes:
        key = self._key("planes", label_key)
        if self._read(case, key) is None:
            label = np.load(label_file, mmap_mode="r", allow_pickle=False)
            self._entries.write(key, count_planes(label, len(self._dataset.info().classes)), {})
            self.made.add(case.id)
        self.counted.add(key)
        planes: Planes = np.load(self._entries.path(key) / ARRAY, allow_pickle=False)
        return planes

    def check_once(self, case: Case, check: Callable[[], object]) -> None:
        """Run a check that raises on bad files, unless it passed before for the same content.

        Raises StorageError if the result cannot be recorded.
        """
        key = self._key("checked", self._image_key(case), self._label_content(case), self._label_meaning())
        note = self._checked / key[:2] / key
        with writing_to(self._root):
            passed = note.exists()
        if not passed:
            check()
            self.made.add(case.id)
            with writing_to(self._root):
                note.parent.mkdir(parents=True, exist_ok=True)
                note.touch()

    def _read(self, case: Case, key: str) -> dict[str, Any] | None:
        record = self._entries.read(key)
        if record is None and self._entries.exists(key):
            self._damaged.add(case.id)
        return record

    def _label_content(self, case: Case) -> str:
        if case.label is None:
            return ""
        return self._digests.of(case.label) if case.images else digest_volume(self._dataset.read_label(case))

    def _voxels(self, case: Case) -> str:
        if case.id not in self._no_files:
            self._no_files[case.id] = digest_volume(self._dataset.read_image(case))
        return self._no_files[case.id]

    def scan_of_entry(self, case: Case, image: StoredImage) -> str:
        """Return the digest of a training case's voxels (``same_scans``), from its entry if that has them."""
        if image.preparation.grid:
            return self.scan(case, lambda: scan_digest(self._dataset.read_image(case)))
        return self.scan(case, lambda: digest_of(image.raw()))

    def scan(self, case: Case, work: Callable[[], str]) -> str:
        """Return the digest of a case's voxels (``same_scans``), from ``work`` if it is not cached."""
        return self._digests.remembered(self._key("scan", self._image_key(case.without_label())), work)

    def _image_key(self, case: Case) -> str:
        unused = () if self._options.in_plane else ("slice_axis",)
        preprocessing = self._options.model_dump(mode="json", exclude={"store", *unused})
        contents = [self._digests.of(path) for path in case.images] or ["voxels", self._voxels(case)]
        return self._key("image", case.id, contents, self._reader, preprocessing)

    def _label_meaning(self) -> Any:
        info = self._dataset.info()
        meaning = [sorted(info.label_map.items()), list(info.classes)]
        return [*meaning, info.ignore] if info.has_ignored else meaning

    def _key(self, *parts: Any) -> str:
        return digest_text(json.dumps([FORMAT, *parts], sort_keys=True, default=str))
