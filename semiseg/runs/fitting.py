"""Errors for checkpoints that do not fit the model that loads them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from semiseg.errors import Problem, RunError
from semiseg.messages import some

_FIX = "One of them was edited or is from another run. Restore it from a copy."


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Run a block that loads a checkpoint's state. Raises RunError if the state does not fit this run."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        why = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        what = f"it does not match recipe.yaml: {why}"
        raise RunError(Problem(str(path), what.rstrip(":."), _FIX)) from error


def require_fit(path: Path, weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], describes: str) -> None:
    """Check that weights have the names and shapes of a strategy's; ``describes`` names the files that define these.

    Raises RunError if not.
    """
    lacking, unknown = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    other = sorted(name for name in wanted.keys() & weights.keys() if weights[name].shape != wanted[name].shape)
    found = [f"it lacks {some(lacking, 3)}"] if lacking else []
    found += [f"it has unknown entries {some(unknown, 3)}"] if unknown else []
    if other:
        first = other[0]
        shapes = f"{tuple(weights[first].shape)}, not {tuple(wanted[first].shape)}"
        more = f" (and of {len(other) - 1} more)" if len(other) > 1 else ""
        found.append(f"the shape of {first} is {shapes}{more}")
    if found:
        raise RunError(Problem(str(path), f"it does not match {describes}: {'; '.join(found)}", _FIX))
