"""Memory that ran out, in whichever of its many ways torch and numpy say so."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from semiseg.errors import TrainingError

STEP_FIX = (
    "Use training.step.mode=alternating, a smaller training.step.micro_batch, training.batch_size or"
    " training.patch_size, or training.precision=bf16; then run in a new folder."
)
PREDICTION_FIX = (
    "Training is done and kept. Go on by the same command with --resume where the GPU is free, or has more memory."
)
NEW_IMAGE_FIX = (
    "Free some memory, use a machine or GPU with more, or crop the image; then run the same command again, which keeps"
    " the predictions that are there."
)
VALIDATION_FIX = (
    "It ran out in validation: use a smaller inference.batch_size or training.patch_size; then run in a new folder."
)
# cuDNN that finds no room for any of its kernels says that it finds no kernel (torch's try_plans in Conv_v8.cpp).
_MAYBE = "unable to find an engine to execute this computation"
_SIGNS = ("out of memory", "ALLOC_FAILED", "DefaultCPUAllocator: can't allocate memory", _MAYBE)


def ran_out(error: BaseException) -> bool:
    """Whether an error of torch, cuDNN, cuBLAS or numpy means that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


@contextmanager
def told_when_out_of_memory(device: torch.device, fix: str) -> Iterator[None]:
    """A block in which memory may run out. Raises TrainingError with the fix where it does."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        first, *_ = str(error).strip().splitlines() or [type(error).__name__]
        surely = "may have run out" if _MAYBE in first else "ran out"
        raise TrainingError(f"Memory {surely}{_of_gpu(device)} ({first}).", fix) from error


def _of_gpu(device: torch.device) -> str:
    if device.type != "cuda":
        return ""
    peak, whole = torch.cuda.max_memory_allocated(device), torch.cuda.get_device_properties(device).total_memory
    return f" on the GPU: at most {peak / 2**30:.1f} of {whole / 2**30:.1f} GiB were in use by this run"
