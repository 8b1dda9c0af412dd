"""The choice of implementation for Dice losses: Triton kernels if a trial finds them correct and faster than torch."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol, cast

import torch
from torch import Tensor

from semiseg.losses import _dice_plain

_SIZE = 2**23
"""Number of probabilities in the trial's noise; the trial allocates at most 220 MB."""
_ROUNDS = 7
_VALUES, _GRADIENT = 1e-6, 1e-5
"""Tolerances of sums and gradients, relative to the largest; bf16 and fp16 add rounding of the gradient."""


class Passes(Protocol):
    """The two passes over the voxels, as documented in ``_dice_plain``."""

    def sums(self, logits: Tensor, label_maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the sums in the losses."""

    def gradient(
        self, logits: Tensor, label_maps: Sequence[Tensor], everywhere: Tensor, inside: Tensor, out: Tensor
    ) -> None:
        """Write the logits' gradient into ``out``."""


class Kernels(Passes, Protocol):
    """Passes that do not support all inputs."""

    def fits(self, logits: Tensor, label_maps: Sequence[Tensor]) -> bool:
        """Return whether these inputs are supported."""


PLAIN = cast(Passes, _dice_plain)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The chosen passes, and the reason, worded to end a sentence."""

    passes: Passes
    reason: str


def passes_for(logits: Tensor, label_maps: Sequence[Tensor]) -> Passes:
    """Return the passes for logits (n, K, \\*spatial) and their label maps.

    A trial decides once per process for each GPU, number of classes and dtype of the logits, in 2D as in 3D: the passes
    take voxels in a row. Deterministic runs skip it, since timings are not reproducible.
    """
    if not logits.is_cuda or torch.are_deterministic_algorithms_enabled():
        return PLAIN
    verdict = _verdict(logits.device, logits.shape[1], logits.dtype)
    _told[f"{logits.shape[1]} classes, {str(logits.dtype).removeprefix('torch.')}"] = verdict.reason
    if verdict.passes is not PLAIN and cast(Kernels, verdict.passes).fits(logits, label_maps):
        return verdict.passes
    return PLAIN


def verdicts() -> list[str]:
    """Return the choices made since the last call, one sentence each."""
    said = [f"Dice loss ({key}): {reason}." for key, reason in _told.items()]
    _told.clear()
    return said


_told: dict[str, str] = {}


@cache
def _verdict(device: torch.device, classes: int, dtype: torch.dtype) -> Verdict:
    return judge(_triton, device, classes, dtype)


def _triton() -> Kernels:
    from semiseg.losses import _dice_triton

    return cast(Kernels, _dice_triton)


def judge(
    load: Callable[[], Kernels], device: torch.device, classes: int, dtype: torch.dtype, size: int | None = None
) -> Verdict:
    """Try the kernels from ``load`` on noise of about ``size`` probabilities, without changing the random state."""
    side = max(round(((_SIZE if size is None else size) / (2 * classes)) ** (1 / 3)), 2)
    try:
        kernels = load()
        if not kernels.fits(torch.empty((2, classes, side, side, side), dtype=dtype, device="meta"), []):
            return Verdict(PLAIN, "plain torch, since the kernels do not support such logits")
        noise = _Noise(device, classes, dtype, side)
        error = noise.error(kernels)
        if not error <= 1:
            return Verdict(PLAIN, f"plain torch, since the kernels are off by {error:.2g} times what is allowed")
        own, plain = noise.milliseconds(kernels, PLAIN)
    except Exception as error:  # no package, no C compiler, a GPU unknown to the compiler, or out of memory
        first, *_ = str(error).strip().splitlines() or [""]
        return Verdict(PLAIN, f"plain torch, since Triton does not work here: {type(error).__name__}: {first}")
    if own < plain:
        return Verdict(kernels, f"Triton kernels, {own:.3g} ms in a trial that took plain torch {plain:.3g}")
    return Verdict(PLAIN, f"plain torch, {plain:.3g} ms in a trial that took Triton kernels {own:.3g}")


class _Noise:
    """Random logits (2, K, X, Y, Z) with two random label maps, one for both samples and one for a single sample."""

    def __init__(self, device: torch.device, classes: int, dtype: torch.dtype, side: int) -> None:
        generator = torch.Generator(device).manual_seed(0)
        size = (side,) * 3
        self.logits = (3 * torch.randn((2, classes, *size), generator=generator, device=device)).to(dtype)
        labels = torch.randint(classes, (3, *size), generator=generator, device=device)
        self.label_maps = [labels[:2], labels[2:].to(torch.uint8)]
        constants = torch.randn((3, 2, classes), generator=generator, device=device, dtype=torch.float64)
        self.everywhere, self.inside = constants[0], constants[1:]
        self.out = torch.empty_like(self.logits)

    def results(self, passes: Passes) -> list[Tensor]:
        found = passes.sums(self.logits, self.label_maps)
        passes.gradient(self.logits, self.label_maps, self.everywhere, self.inside, out=self.out)
        return [*found, self.out]

    def error(self, kernels: Passes) -> float:
        """Return the largest difference from plain torch relative to the tolerance; NaN if anything is NaN."""
        theirs = [result.clone() for result in self.results(PLAIN)]
        rounding = 0.0 if self.out.dtype == torch.float32 else 2 * torch.finfo(self.out.dtype).eps
        allowed = (_VALUES, _VALUES, _VALUES, _GRADIENT + rounding)
        errors = [
            float(a.sub_(b).abs_().max()) / float(b.abs_().max()) / c
            for a, b, c in zip(self.results(kernels), theirs, allowed, strict=True)
        ]
        return math.nan if any(map(math.isnan, errors)) else max(errors)

    def milliseconds(self, *rivals: Passes) -> list[float]:
        """Return the median time of both passes for each candidate; candidates take turns."""
        seconds: list[list[float]] = [[] for _ in rivals]
        for _ in range(_ROUNDS):
            for own, passes in zip(seconds, rivals, strict=True):
                started = self._now()
                self.results(passes)
                own.append(self._now() - started)
        return [1e3 * statistics.median(own) for own in seconds]

    def _now(self) -> float:
        if self.logits.is_cuda:
            torch.cuda.synchronize(self.logits.device)
        return time.perf_counter()
