"""The formats: an exported file of each, compared with torch as soon as it is written."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semiseg.errors import ArgumentError
from semiseg.export.portable.patch_model import IMAGES, PROBABILITIES, portable
from semiseg.progress import Reporter

ONNX, TORCHSCRIPT = "model.onnx", "model.ts"


def export_onnx(
    run: str | Path, output: str | Path, *, checkpoint: str = "best", reporter: Reporter | None = None
) -> float:
    """Write a run's networks as ONNX (``model.onnx``), their weights (safetensors), and description.json.

    Returns the largest difference of probabilities between onnxruntime and torch on random patches.

    Args:
        run: the run folder.
        output: a new folder.
        checkpoint: ``best`` or ``last``.
        reporter: receives notes.

    Raises:
        ArgumentError: a missing package (extra ``onnx``).
        RunError: no such run or checkpoint; a difference above 1e-4.
        StorageError: the folder is not empty, or writing fails.
    """
    _require("onnx", "onnxscript", "onnxruntime")
    found = portable(Path(run), checkpoint, reporter or Reporter())

    def write(path: Path) -> None:
        batch = torch.export.Dim("batch", min=1)
        with _quiet():
            program = torch.onnx.export(
                found.module,
                (found.patches(2),),
                dynamo=True,
                dynamic_shapes={IMAGES: {0: batch}},
                input_names=[IMAGES],
                output_names=[PROBABILITIES],
                verbose=False,
            )
        assert program is not None
        program.save(str(path))

    return found.write(Path(output), write, ONNX, _onnx)


def export_torchscript(
    run: str | Path, output: str | Path, *, checkpoint: str = "best", reporter: Reporter | None = None
) -> float:
    """Write a run's networks as TorchScript (``model.ts``); otherwise as ``export_onnx``, without further packages."""
    found = portable(Path(run), checkpoint, reporter or Reporter())

    def write(path: Path) -> None:
        with _quiet():
            traced: Any = torch.jit.trace(found.module, found.patches(2))
            traced.save(str(path))

    return found.write(Path(output), write, TORCHSCRIPT, _torchscript)


def _onnx(path: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda patches: torch.from_numpy(session.run([PROBABILITIES], {IMAGES: patches.numpy()})[0])


def _torchscript(path: Path) -> Callable[[Tensor], Tensor]:
    with _quiet():  # torch recommends torch.export in its place, which other programs do not read
        loaded: Callable[[Tensor], Tensor] = torch.jit.load(str(path), map_location="cpu")
    return loaded


def _require(*packages: str) -> None:
    from importlib.util import find_spec

    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise ArgumentError(f"This format needs {', '.join(missing)}.", 'pip install "semiseg[onnx]"')


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch says of its own code while it exports, such as that torchvision is not installed."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
