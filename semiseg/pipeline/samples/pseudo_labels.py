"""Pseudo-labels of a stage: the previous stage's predictions of the unlabeled cases, stored in the run folder."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semiseg.data.case_records import StoredImage, StoredPseudo
from semiseg.data.foreground import Planes, count_planes
from semiseg.engine.runtime import Runtime
from semiseg.errors import RunError
from semiseg.interfaces.strategy import Stage
from semiseg.io.atomic import atomic_file, write_json
from semiseg.pipeline.model import Model
from semiseg.progress import Reporter
from semiseg.runs.checkpoint import file_digest, load_state, snapshot_file
from semiseg.runs.folder import RunFolder
from semiseg.runs.provenance import discard_others


@dataclass(frozen=True)
class PseudoLabels:
    """Makes the pseudo-labels of a run's stages and reads them again when the run resumes.

    One folder per stage: ``CASE.npy`` with class indices (x, y, z) uint8 in the preprocessed image's box, and
    ``manifest.json`` with the digests of each file and of the weights that made them.
    """

    unlabeled: Sequence[StoredImage]
    model: Model
    folder: RunFolder
    runtime: Runtime
    reporter: Reporter
    with_planes: bool = False
    """Serve them with the counts that foreground voxels are drawn by."""

    def of(
        self, stages: Sequence[Stage], number: int, begins: bool, after_case: Callable[[], None]
    ) -> Sequence[StoredImage]:
        """Return the unlabeled cases of a stage, with pseudo-labels if the stage uses them.

        Args:
            stages: the strategy's stages.
            number: the stage's index.
            begins: the stage is beginning, and the strategy is as the previous stage left it: missing pseudo-labels
                are made.
            after_case: called after each case; may raise to stop.

        Raises:
            RunError: the stage had already begun, and its pseudo-labels are missing or damaged.
        """
        stage = stages[number]
        if not stage.pseudo_labels or not self.unlabeled:
            return self.unlabeled
        if begins:
            before = stages[number - 1]
            numbers = range(1, before.snapshots + 1)
            snapshots = [snapshot_file(self.folder.checkpoints, before.name, n) for n in numbers]
            # If training is so short that the previous stage had no step, there are none.
            self._make(stage, [path for path in snapshots if path.exists()], after_case)
        manifest = self._read(stage)
        return [
            StoredPseudo(
                case.case_id, case.image_file, case.preparation, self._file(stage, case), self._planes(stage, case)
            )
            for case in self.unlabeled
            if case.case_id in manifest["served"]
        ]

    def _planes(self, stage: Stage, case: StoredImage) -> Planes | None:
        if not self.with_planes:
            return None
        labels = np.load(self._file(stage, case), mmap_mode="r", allow_pickle=False)
        return count_planes(labels, len(self.model.task.classes))

    def _home(self, stage: Stage) -> Path:
        return self.folder.pseudo_labels / stage.name

    def _file(self, stage: Stage, case: StoredImage) -> Path:
        return self._home(stage) / f"{case.case_id}.npy"

    def _make(self, stage: Stage, snapshots: Sequence[Path], after_case: Callable[[], None]) -> None:
        home, digest = self._home(stage), _digest(self.model.strategy.state_dict())
        if self.runtime.is_main:
            discard_others(home, digest, "manifest.json", "*.npy")
        self.runtime.barrier()
        if not (home / "manifest.json").exists():
            labels = self._predict(stage.name, home, after_case)
            earlier = self._predict_snapshots(stage, snapshots, after_case) if stage.reliable < 1 else []
            stability = self._stability(labels, earlier)
            if self.runtime.is_main:
                write_json(home / "manifest.json", self._manifest(stage, digest, stability))
        self.runtime.barrier()

    def _predict(self, what: str, target: Path, after_case: Callable[[], None]) -> dict[str, Path]:
        """Predict all cases with the current weights and return the files by case; each process makes its share."""
        predictor = self.model.predictor(self.runtime.device)
        files = {case.case_id: target / f"{case.case_id}.npy" for case in self.unlabeled}
        with self.reporter.work(f"pseudo-labeling for {what}", len(files), unit="case") as meter:
            for index, case in enumerate(self.unlabeled):
                path = files[case.case_id]
                if index % self.runtime.world == self.runtime.rank and not path.exists():
                    labels = predictor.labels(case.image(), case.slice_axis)
                    with atomic_file(path) as temporary, temporary.open("wb") as file:
                        np.save(file, labels)
                    after_case()
                meter.advance()
        self.runtime.barrier()
        return files

    def _predict_snapshots(
        self, stage: Stage, snapshots: Sequence[Path], after_case: Callable[[], None]
    ) -> list[dict[str, Path]]:
        strategy = self.model.strategy
        present = {name: value.detach().cpu().clone() for name, value in strategy.state_dict().items()}
        found = []
        try:
            for number, path in enumerate(snapshots, 1):
                strategy.load_state_dict(load_state(path)["strategy"])
                target = self._home(stage) / f"earlier-{number}"
                found.append(self._predict(f"{stage.name}, snapshot {number}", target, after_case))
        finally:
            strategy.load_state_dict(present)
        return found

    def _stability(self, last: Mapping[str, Path], earlier: Sequence[Mapping[str, Path]]) -> dict[str, float]:
        """Return by case the mean, over snapshots, of the mean IoU with the last prediction; 1 without snapshots."""
        n_classes = len(self.model.task.classes)
        stability = {}
        for case, path in last.items():
            ious = [mean_iou(np.load(files[case]), np.load(path), n_classes) for files in earlier]
            stability[case] = float(np.mean(ious)) if ious else 1.0
        return stability

    def _manifest(self, stage: Stage, digest: str, stability: Mapping[str, float]) -> dict[str, Any]:
        ranked = sorted(stability, key=lambda case: (-stability[case], case))
        served = ranked[: max(round(stage.reliable * len(ranked)), 1)]
        files = {case.case_id: file_digest(self._file(stage, case)) for case in self.unlabeled}
        return {"weights": digest, "sha256": files, "stability": dict(stability), "served": sorted(served)}

    def _read(self, stage: Stage) -> dict[str, Any]:
        path = self._home(stage) / "manifest.json"
        try:
            manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            wrong = [name for name, digest in manifest["sha256"].items() if self._digest_of(stage, name) != digest]
            manifest["served"] = list(manifest["served"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"The pseudo-labels of stage {stage.name} cannot be read: {error}.", _ANEW) from error
        if wrong:
            raise RunError(f"Pseudo-labels in {path.parent} have changed: {', '.join(sorted(wrong)[:5])}.", _ANEW)
        return manifest

    def _digest_of(self, stage: Stage, case: str) -> str:
        return file_digest(self._home(stage) / f"{case}.npy")


_ANEW = "The stage cannot continue without them. Restore the files, or start again in a new folder."


def mean_iou(one: NDArray[np.uint8], other: NDArray[np.uint8], n_classes: int) -> float:
    """Return the mean of |A and B| / |A or B| over the classes (background included) in either label map."""
    ious = []
    for index in range(n_classes):
        a, b = one == index, other == index
        if union := np.count_nonzero(a | b):
            ious.append(np.count_nonzero(a & b) / union)
    return float(np.mean(ious))


def _digest(state: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
