"""A trained model in memory: label maps and probabilities of arrays and files, for other programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from semiseg.engine.memory import NEW_IMAGE_FIX, raising_on_oom
from semiseg.errors import ArgumentError
from semiseg.inference.image import Ensemble
from semiseg.inference.windows import Part
from semiseg.io.orientation import to_ras
from semiseg.messages import some
from semiseg.pipeline.predictions import stored_values
from semiseg.prediction.arrays import ARRAY, array_picture, array_volume
from semiseg.prediction.ensemble import LoadedRun, limit_of, load_runs
from semiseg.prediction.postprocessing import largest_for, mode_of
from semiseg.progress import Reporter
from semiseg.types import Task, Volume

Image = str | Path | Sequence[str | Path] | NDArray[Any] | Tensor
"""The file of an image, the files of its modalities in order, or an array."""


def load(
    run: str | Path | Sequence[str | Path],
    *,
    checkpoint: str = "best",
    device: str = "auto",
    mirror: bool | None = None,
    postprocess: str | None = None,
    memory_gib: float | Literal["auto"] | None = None,
    reporter: Reporter | None = None,
) -> "TrainedModel":
    """Load a run's model, or those of several runs that predict together, without its training data.

    ``load("runs/first").predict("scan.nii.gz")`` has the label values that ``semiseg.predict`` writes for this image.

    Args:
        run: the run folder, or several.
        checkpoint: ``best`` or ``last``.
        device: ``auto``, ``cpu`` or ``cuda``.
        mirror: predict the mean over all flips along the axes that training flipped; by default as the recipe says.
        postprocess: ``none``, ``largest_component`` or ``auto``, as for ``semiseg.predict``; by default as the recipe
            says.
        memory_gib: limit of memory per image in GiB, or ``auto``; by default as the recipe says.
        reporter: receives notes, such as of images whose spacing is unlike that of the training cases.

    Raises:
        RunError: no such run or checkpoint, or runs that do not fit together.
    """
    reporter = reporter or Reporter()
    runs = load_runs(run, checkpoint, device, mirror, reporter)
    limit = limit_of(runs, memory_gib)
    largest = largest_for(runs, mode_of(runs, postprocess), checkpoint, limit, reporter)
    ensemble = Ensemble([one.member() for one in runs], runs[0].model.task.out_channels, limit, largest)
    return TrainedModel(runs, ensemble, reporter)


class TrainedModel:
    """A run's model, or several that predict together; made by ``semiseg.load``.

    Images are given as a file, as the files of the modalities in order, or as an array of numbers (numpy, or a tensor
    of any device) as stored, without any preprocessing:

    - (X, Y, Z), or (C, X, Y, Z) for several modalities, with ``spacing``, the size of a voxel in mm along axes that run
      to the patient's right, front and top; or with ``affine``, nibabel's, for axes that run otherwise.
    - (rows, columns), or (rows, columns, C), for a model that was trained on pictures.
    """

    def __init__(self, runs: Sequence[LoadedRun], ensemble: Ensemble, reporter: Reporter) -> None:
        self._runs, self._ensemble, self._reporter = tuple(runs), ensemble, reporter
        self._first = runs[0].model
        for run in runs:
            run.model.strategy.eval()

    @property
    def task(self) -> Task:
        """The first run's task: classes, regions, input channels and patch size."""
        return self._first.task

    @property
    def modalities(self) -> tuple[str, ...]:
        """The names of the channels, in order."""
        return self._first.info.modalities

    @property
    def labels(self) -> dict[int, str]:
        """The class of each value in label maps, without the background."""
        return dict(zip(self._first.info.class_values[1:], self.task.classes[1:], strict=True))

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of ``probabilities`` along their first axis: classes, background first, or regions."""
        return tuple(self.task.regions or self.task.classes)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks by role, on their device, in evaluation mode; of several runs, by ``RUN:ROLE``.

        They map preprocessed patches (B, C, \\*patch_size) to logits (B, K, \\*patch_size) or to ``Outputs``. Roles
        that do not predict, such as a critic, are among them.
        """
        several = len(self._runs) > 1
        return {
            f"{run.name}:{role}" if several else role: network
            for run in self._runs
            for role, network in run.model.strategy.networks.items()
        }

    def predict(self, image: Image, *, spacing: Sequence[float] | None = None, affine: Any = None) -> NDArray[Any]:
        """Return the label map of an image in its own voxels: (X, Y, Z), or (rows, columns) of a picture's array.

        Its values are the dataset's (``labels``), as ``semiseg.predict`` writes them.

        Raises:
            ArgumentError: an array or spacing that is unusable, with all problems.
            DataError: files that cannot be read or do not match the model; an image without foreground.
            TrainingError: an image for which memory ran out.
        """
        volume, where = self._volume(image, spacing, affine)
        with raising_on_oom(self._runs[0].runtime.device, NEW_IMAGE_FIX):
            found = self._ensemble.predict(volume, where)
        return _turned(stored_values(found, self._first.info), image, volume)

    def probabilities(
        self, image: Image, *, spacing: Sequence[float] | None = None, affine: Any = None
    ) -> NDArray[np.float32]:
        """Return the probabilities (K, X, Y, Z) of ``outputs`` for an image, or (K, rows, columns); else as predict.

        The largest component of a class (``postprocess``) is a property of label maps: it does not change them.
        """
        volume, where = self._volume(image, spacing, affine)
        background = self._first.strategy.coding.background(self._ensemble.n_outputs).numpy()
        found = np.empty((len(background), *volume.geometry.shape), np.float32)
        found[:] = background.reshape(-1, 1, 1, 1)
        in_ras, _ = to_ras(found, volume.geometry)

        def receive(part: Part, values: Tensor) -> None:
            in_ras[(slice(None), *(slice(*span) for span in part))] = values.numpy()

        with raising_on_oom(self._runs[0].runtime.device, NEW_IMAGE_FIX):
            self._ensemble.predict(volume, where, receive)
        return _turned(found, image, volume)

    def _volume(self, image: Image, spacing: Any, affine: Any) -> tuple[Volume, str]:
        """Return an image as a volume, and its name in messages; report a note on its spacing."""
        if _is_files(image):
            if spacing is not None or affine is not None:
                raise ArgumentError("spacing and affine are for arrays: those of a file are in its header.")
            volume, where = self._read(image)
        elif self._of_pictures:
            if spacing is not None or affine is not None:
                raise ArgumentError("The model was trained on pictures, which have no spacing.", "Give only the array.")
            volume, where = array_picture(image, self.modalities), ARRAY
        else:
            volume, where = array_volume(image, self.modalities, spacing, affine), ARRAY
        notes = (run.spacing_note({where: volume.geometry}) for run in self._runs)
        for note in dict.fromkeys(filter(None, notes)):
            self._reporter.say(f"Note: {note.removesuffix('.')}.")
        return volume, where

    @property
    def _of_pictures(self) -> bool:
        spacing: Mapping[str, Any] | None = self._runs[0].kept.record.get("spacing")
        return spacing is not None and spacing["unit"] == "pixel"

    def _read(self, image: Any) -> tuple[Volume, str]:
        dataset = self._first.components.dataset
        paths = [Path(image)] if isinstance(image, str | Path) else [Path(path) for path in image]
        cases = dataset.new_cases(paths)
        if len(cases) != 1:
            names = some([case.id for case in cases], 4)
            raise ArgumentError(
                f"{', '.join(map(str, paths))}: {len(cases)} images, not one: {names}",
                "Give the files of one, or predict all of a folder with semiseg.predict.",
            )
        return dataset.read_image(cases[0]), f"case {cases[0].id}"


def _is_files(image: Any) -> bool:
    if isinstance(image, str | Path):
        return True
    return isinstance(image, Sequence) and len(image) > 0 and all(isinstance(one, str | Path) for one in image)


def _turned(values: NDArray[Any], image: Any, volume: Volume) -> NDArray[Any]:
    """Return values (…, X, Y, 1) of a picture's array as (…, rows, columns), and others as they are."""
    if _is_files(image) or volume.geometry.unit != "pixel":
        return values
    return np.ascontiguousarray(np.swapaxes(values[..., 0], -1, -2))
