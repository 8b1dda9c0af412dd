"""Reading files of weights: safetensors, and PyTorch files without objects that run code when they are read."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from semiseg.errors import Problem, RecipeError
from semiseg.messages import some

Weights = dict[str, Tensor]
"""Tensors by name."""

# Checkpoints of nnU-Net and others hold metrics as numpy scalars: a number and its type, which are only data.
_NUMBERS: list[Any] = [
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *(np.dtype, *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?"))),
]
_DEPTH = 6


def read_weights(path: Path, key: str | None, device: str) -> tuple[Weights, str]:
    """Read the tensors of a file, and the key of the entry that holds them; empty if the file holds them directly.

    Args:
        path: a file of safetensors if its name ends so, otherwise one written by ``torch.save``.
        key: the entry to take if there are several with tensors: ``teacher``, or ``ema.network`` if nested.
        device: "cpu", or "meta" for names and shapes only, which takes no memory.

    Raises RecipeError: the file cannot be read or has objects, there is no such entry, or several and no ``key``.
    """
    if path.suffix == ".safetensors":
        found = {"": _safetensors(path, device)}
    else:
        found = dict(_sets(_torch_file(path, device)))
        for weights in found.values():
            _require_plain(path, weights)
        found = {name: _shapes(weights) for name, weights in found.items()} if device == "meta" else found
    if key is not None:
        return found[key] if key in found else _no_entry(path, key, found), key
    if len(found) == 1:
        ((only, weights),) = found.items()
        return weights, only
    if not found:
        raise RecipeError(Problem(str(path), "contains no weights of layers."))
    what = f"contains several sets of weights: {some(list(found))}."
    raise RecipeError(Problem(str(path), what, f"Choose one: {{path: {path.name}, key: {next(iter(found))}}}."))


def _no_entry(path: Path, key: str, found: Mapping[str, Weights]) -> Weights:
    have = some([name for name in found if name]) or "none: its weights are not nested"
    raise RecipeError(Problem(str(path), f"contains no weights at key {key!r}.", f"Keys with weights: {have}."))


def _safetensors(path: Path, device: str) -> Weights:
    try:
        with safe_open(path, "pt") as file:
            if device != "meta":
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {name: _empty(part.get_shape(), part.get_dtype()) for name, part in parts.items()}
    except (SafetensorError, OSError) as error:
        raise RecipeError(Problem(str(path), f"cannot be read as safetensors: {_first_line(error)}")) from error


def _empty(shape: list[int], kind: str) -> Tensor:
    """Return a tensor without memory; of its type only whether it is a floating-point one is kept."""
    return torch.empty(shape, dtype=torch.float32 if "F" in kind else torch.int64, device="meta")


def _torch_file(path: Path, device: str) -> Any:
    """Return what ``torch.save`` wrote; for "meta", mapped into memory where the format allows it, without reading."""
    is_mapped = device == "meta" and is_zipfile(path)  # on "meta", names of one tensor could not be told
    try:
        with torch.serialization.safe_globals(_NUMBERS):
            return torch.load(path, map_location="cpu" if is_mapped else device, weights_only=True, mmap=is_mapped)
    except UnpicklingError as error:
        raise RecipeError(_refused(path, str(error))) from error
    except Exception as error:  # whatever error the reader raises
        what = f"cannot be read as weights: {_first_line(error)}"
        raise RecipeError(
            Problem(str(path), what, "Give a .safetensors file, or one written by torch.save.")
        ) from error


def _require_plain(path: Path, weights: Weights) -> None:
    """Raise RecipeError for tensors of a form that networks do not have."""
    odd = [
        f"{name} ({'quantized' if value.is_quantized else str(value.layout).removeprefix('torch.')})"
        for name, value in weights.items()
        if value.layout != torch.strided or value.is_quantized
    ]
    if odd:
        fix = "Save them as dense floating-point tensors (to_dense, dequantize)."
        raise RecipeError(Problem(str(path), f"holds tensors that are not dense numbers: {some(odd, 3)}.", fix))


def _shapes(weights: Weights) -> Weights:
    """Return tensors without memory; names of one tensor stay names of one."""
    same: dict[object, Tensor] = {}
    places = {name: (value.data_ptr() or name, value.shape, value.stride()) for name, value in weights.items()}
    for name, value in weights.items():
        same.setdefault(places[name], torch.empty_like(value, device="meta"))
    return {name: same[place] for name, place in places.items()}


def _refused(path: Path, said: str) -> Problem:
    found = re.search(r"GLOBAL (\S+)", said) or re.search(r"class (\S+)", said)
    if found is None:  # torch's own words advise to read it all the same
        return _unreadable(path, "it holds something other than tensors, numbers and names")
    fix = (
        "If you trust its source, save only its weights, and give the new file: "
        "torch.save(torch.load(FILE, weights_only=False)[ENTRY], NEW), or safetensors.torch.save_file."
    )
    what = f"contains an object ({found[1].strip('.,`')}); reading objects can run any code, so only tensors are read."
    return Problem(str(path), what, fix)


def _unreadable(path: Path, said: str) -> Problem:
    what = f"cannot be read as weights: {said}"
    return Problem(str(path), what, "Give a .safetensors file, or one written by torch.save.")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _sets(value: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, Weights]]:
    """Yield the sets of weights in nested mappings: mostly tensors, at least one of which is a layer's weight.

    An optimizer's state is by number and not by name, so it is left out.
    """
    if not isinstance(value, Mapping) or depth > _DEPTH or not all(isinstance(name, str) for name in value):
        return
    tensors = {name: part.detach() for name, part in value.items() if isinstance(part, Tensor)}
    if 2 * len(tensors) > len(value) and any(part.ndim > 1 for part in tensors.values()):
        yield key, tensors
        return
    for name, part in value.items():
        yield from _sets(part, f"{key}.{name}" if key else name, depth + 1)
