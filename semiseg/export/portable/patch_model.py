"""A run's prediction of patches as one torch module: preprocessed patches in, mean probabilities out."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from semiseg.errors import RunError
from semiseg.export.new_folder import require_empty
from semiseg.export.portable.description import description
from semiseg.inference.mirroring import mirrored
from semiseg.interfaces.strategy import Strategy
from semiseg.io.atomic import atomic_file, make_folder, write_bytes, write_json
from semiseg.prediction.ensemble import LoadedRun, load_runs
from semiseg.progress import Reporter

MOST_APART = 1e-4
"""Largest difference of probabilities between an exported file and torch, in float32."""
NAME, WEIGHTS = "description.json", "networks.safetensors"
IMAGES, PROBABILITIES = "images", "probabilities"
Predict = Callable[[Tensor], Tensor]


class PatchModel(nn.Module):
    """Maps preprocessed patches (N, C, \\*patch_size) float32 to probabilities (N, K, \\*patch_size) float32.

    The mean over the strategy's predicting networks, and over flips if the recipe predicts mirrored.
    """

    def __init__(self, strategy: Strategy, axes: tuple[int, ...], spatial_dims: int) -> None:
        super().__init__()
        self.strategy = strategy
        self._axes, self._dims = axes, spatial_dims

    def forward(self, images: Tensor) -> Tensor:
        """Return the probabilities."""
        return mirrored(self.strategy.predict, self._axes, self._dims)(images)


@dataclass(frozen=True)
class Portable:
    """A run that is exported: its module on the CPU, in float32, and its description for description.json."""

    run: LoadedRun
    module: PatchModel
    description: dict[str, Any]

    def patches(self, count: int, seed: int = 0) -> Tensor:
        """Return random patches (count, C, \\*patch_size), as normalized images are."""
        task = self.run.model.task
        shape = (count, task.in_channels, *task.patch_size)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    def write(
        self,
        output: Path,
        write: Callable[[Path], object],
        file: str,
        read: Callable[[Path], Callable[[Tensor], Tensor]],
    ) -> float:
        """Write an export's files into a new folder, and compare the exported file with torch.

        Args:
            output: the folder.
            write: writes the exported file to a path.
            file: its name.
            read: returns the function of patches that an exported file is.

        Returns the largest difference of probabilities. Raises RunError if it is above 1e-4; the folder then stays
        without the file. StorageError if the folder is not empty or writing fails.
        """
        from safetensors.torch import save

        require_empty(output, NAME)
        make_folder(output)
        predicting = self.run.model.strategy.predicting or tuple(self.run.model.strategy.networks)
        networks = self.run.model.strategy.networks
        weights = {
            f"{role}.{name}": value.detach().cpu().contiguous()
            for role in predicting
            for name, value in networks[role].state_dict().items()
        }
        write_bytes(output / WEIGHTS, save(weights))
        with atomic_file(output / file) as temporary:
            write(temporary)
            apart = self._difference(read(temporary))
            if not apart <= MOST_APART:
                what = (
                    f"The exported model's probabilities differ by {apart:.1e} from torch's, more than {MOST_APART:g}."
                )
                raise RunError(
                    what, "It is not written. Please report the backbone and the versions of torch and semiseg."
                )
        write_json(output / NAME, {**self.description, "file": file, "largest_difference_from_torch": apart})
        return apart

    def _difference(self, exported: Predict) -> float:
        """Return the largest difference on patches, one at a time and several."""
        found = 0.0
        with torch.no_grad():
            for count in (1, 3):
                patches = self.patches(count, seed=count)
                difference = (exported(patches) - self.module(patches)).abs().max()
                found = max(found, float(difference)) if bool(difference.isfinite()) else float("inf")
        return found


def portable(run: Path, checkpoint: str, reporter: Reporter) -> Portable:
    """Load a run for an export. Raises RunError."""
    (loaded,) = load_runs(run, checkpoint, "cpu", None, reporter)
    model = loaded.model
    strategy = model.strategy.float().eval()
    strategy.attach(lambda role: nullcontext())
    axes = model.flipped_axes if loaded.mirror else ()
    module = PatchModel(strategy, axes, model.task.spatial_dims).eval().requires_grad_(False)
    return Portable(loaded, module, description(loaded, checkpoint, axes, reporter))
