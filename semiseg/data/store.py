"""The case store: all training and validation cases, preprocessed once, with the protocol enforced in code."""

from collections.abc import Sequence
from pathlib import Path

from semiseg.data.case_builder import CaseMaker
from semiseg.data.case_records import StoredImage, StoredLabeled, StoredPseudo
from semiseg.data.pseudo.files import PseudoFiles
from semiseg.data.scan_checks import same_scans, scan_digest
from semiseg.data.split import Role, Split
from semiseg.data.verify import check_case, check_label, problems_of
from semiseg.errors import DataError, Problem, ProtocolError, raise_all
from semiseg.interfaces.dataset import Dataset
from semiseg.io.cache import cache_folder
from semiseg.recipe import schema
from semiseg.threads import Progress, in_threads
from semiseg.types import Case, Volume

__all__ = ["CaseStore", "StoredImage", "StoredLabeled", "default_root"]


def default_root() -> Path:
    """Return the default folder of the store: $SEMISEG_CACHE/store, else ~/.cache/semiseg/store."""
    return cache_folder() / "store"


class CaseStore:
    """The preprocessed cases of a split.

    Entries are found by the case's id, the content of its files, the reader and the preprocessing: many runs and
    processes share a store, and a changed file is read again. Test cases and labels of unlabeled cases are never
    served.
    """

    def __init__(
        self,
        dataset: Dataset,
        options: schema.Preprocessing,
        split: Split,
        root: str | Path | None = None,
        with_planes: bool = False,
        pseudo: PseudoFiles | None = None,
    ) -> None:
        """Serve the cases of a split.

        ``with_planes``: labeled and pseudo-labeled cases are served with the counts that foreground voxels are drawn
        by. ``pseudo``: label maps of another model for the unlabeled cases; those of other cases are never read.
        """
        self.root = Path(root or options.store or default_root()).expanduser()
        self._dataset, self._split, self._files = dataset, split, pseudo
        self._maker, self._with_planes = CaseMaker(self.root, dataset, options), with_planes
        self._served: dict[str, StoredImage] = {}
        self._pseudo: dict[str, StoredPseudo] = {}
        self._n_known: dict[str, int] = {}
        self._scans: dict[str, str] = {}

    @property
    def n_work(self) -> int:
        """Number of cases that ``fill`` processes, and of its calls of ``progress``."""
        return len(self._split.ids())

    @property
    def n_made(self) -> int:
        """Number of cases that ``fill`` had to read; for the others everything was there already."""
        return len(self._maker.made)

    def fill(
        self, cases: Sequence[Case], progress: Progress | None = None, workers: int | None = None
    ) -> tuple[str, ...]:
        """Preprocess what is missing; read test cases and labels of unlabeled cases to their end, once.

        Of the latter, only two things are kept: that files with this content are valid, and a digest of the image's
        voxels to detect scans that are in both training and test.

        Args:
            cases: the dataset's cases with their labels; cases outside the split are ignored.
            progress: called after each case.
            workers: number of cases in memory at once; by default one per core, at most 8.

        Returns:
            Notes for the user: empty labels, labels outside the foreground box, pseudo-labels without a voxel that
            counts, the same image as several cases of a side, digests that cannot be stored.

        Raises:
            DataError: every problem of every file, and equal images on several sides. StorageError: the disk is full or
                refuses.
        """
        self._maker.sweep()
        used = [case for case in cases if self._split.role_of(case.id) is not None]
        found = in_threads(lambda case: problems_of(case, lambda: self._fill_case(case)), used, workers, progress)
        same, notes = same_scans(self._split, self._scans)
        raise_all([*(problem for problems in found for problem in problems), *same], DataError)
        return (*notes, *self._notes())

    def image(self, case_id: str) -> StoredImage:
        """Return a training or validation image. Raises ProtocolError for a test case."""
        self._allow(case_id, ("labeled", "unlabeled", "validation"), "a test case")
        stored = self._served[case_id]
        return StoredImage(stored.case_id, stored.image_file, stored.preparation)

    def labeled(self, case_id: str) -> StoredLabeled:
        """Return a labeled or validation case. Raises ProtocolError for a test case or an unlabeled one."""
        self._allow(case_id, ("labeled", "validation"), "the label of an unlabeled case or of a test case")
        stored = self._served[case_id]
        assert isinstance(stored, StoredLabeled)
        return stored

    def unlabeled(self) -> list[StoredImage]:
        """Return the unlabeled cases that training draws, in order.

        If the store was given label maps of another model, they are those that have one, with it.
        """
        if self._files is None:
            return [self.image(case.id) for case in self._split.unlabeled]
        return [self._pseudo[case.id] for case in self._split.unlabeled if case.id in self._files.by_case]

    def pseudo_digests(self) -> dict[str, list[str]]:
        """Return the SHA-256 of each case's pseudo-label and, if it is used, of its confidence, by case id."""
        files = {} if self._files is None else self._files.by_case
        return {case.id: self._maker.contents(files[case.id]) for case in self._split.unlabeled if case.id in files}

    def entries(self) -> list[str]:
        """Return the keys of all entries that are served."""
        labels = [stored.label_file for stored in self._served.values() if isinstance(stored, StoredLabeled)]
        labels += [stored.pseudo_file for stored in self._pseudo.values()]
        files = (*(stored.image_file for stored in self._served.values()), *labels)
        return [*(path.parent.name for path in files), *sorted(self._maker.counted)]

    def _allow(self, case_id: str, roles: Sequence[str], refused: str) -> None:
        role = self._split.role_of(case_id)
        if role not in roles:
            what = f"its role is {role}" if role else "it is not in the split"
            raise ProtocolError(
                f"case {case_id} was requested in training, but {what}: training has no access to {refused}."
            )
        if case_id not in self._served:
            raise RuntimeError(f"case {case_id} is not in the store yet: call fill first")

    def _fill_case(self, case: Case) -> None:
        role = self._split.role_of(case.id)
        if role == "test":
            self._maker.check_once(case, lambda: check_case(self._dataset, case, look_image=self._see))
            if case.id not in self._scans:  # checked in an earlier run
                self._scans[case.id] = self._maker.scan(case, lambda: scan_digest(self._dataset.read_image(case)))
            return
        image = self._maker.image(case.without_label())
        self._scans[case.id] = self._maker.scan_of_entry(case, image)
        if role != "unlabeled":
            self._served[case.id] = self._maker.labeled(case, image, self._with_planes and role == "labeled")
            return
        self._served[case.id] = image
        problems: list[Problem] = []
        if case.label is not None:
            problems += problems_of(case, lambda: self._maker.check_once(case, lambda: self._check_label(case, image)))
        problems += problems_of(case, lambda: self._fill_pseudo(case.without_label(), image))
        raise_all(problems, DataError)

    def _fill_pseudo(self, case: Case, image: StoredImage) -> None:
        file = None if self._files is None else self._files.by_case.get(case.id)
        if self._files is not None and file is not None:
            found = self._maker.pseudo(image, case, file, self._files.threshold, self._with_planes)
            self._pseudo[case.id], self._n_known[case.id] = found

    def _see(self, case: Case, image: Volume) -> None:
        self._scans[case.id] = self._maker.scan(case, lambda: scan_digest(image))

    def _check_label(self, case: Case, image: StoredImage) -> None:
        check_label(self._dataset, case, self._dataset.read_label(case), image.preparation.geometry)

    def _notes(self) -> tuple[str, ...]:
        stored = [self.labeled(case.id) for case in (*self._split.labeled, *self._split.validation)]
        notes = []
        effects: dict[Role, str] = {"labeled": "no supervised loss uses", "validation": "validation leaves out"}
        for role, effect in effects.items():
            unknown = [case.id for case in self._split.cases(role) if self.labeled(case.id).n_known == 0]
            if unknown:
                has = "1 label has" if len(unknown) == 1 else f"{len(unknown)} labels have"
                notes.append(
                    f"{has} only ignored voxels within the image's foreground box, so that {effect} these cases:"
                    f" {_some(unknown)}"
                )
        empty = sorted(case.case_id for case in stored if case.n_foreground == 0 and case.n_known != 0)
        if empty:
            notes.append(f"{len(empty)} label maps are empty (background only): {_some(empty)}")
        bare = [case.case_id for case in stored if case.planes is not None and not case.planes.any()]
        if bare:
            what = "training.foreground_share has no voxel to center patches of these labeled cases on"
            notes.append(f"{what}, which are drawn evenly: {_some(bare)}")
        outside = sorted(f"{case.case_id} ({case.n_outside})" for case in stored if case.n_outside)
        if outside:
            notes.append(
                f"{len(outside)} labels have voxels outside the image's foreground box, where the image is 0; training"
                f" does not use these voxels: {_some(outside)}"
            )
        unsure = sorted(case_id for case_id, n_known in self._n_known.items() if not n_known)
        if unsure:
            has = "1 pseudo-label has" if len(unsure) == 1 else f"{len(unsure)} pseudo-labels have"
            notes.append(f"{has} only ignored voxels, so that no loss uses these cases: {_some(unsure)}")
        return (*notes, *self._maker.notes())


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
