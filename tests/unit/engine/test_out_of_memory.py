"""Memory that runs out: known by what torch says of it, and told in words."""

import pytest
import torch

from semiseg.engine.memory import STEP_FIX, VALIDATION_FIX, raising_on_oom, ran_out
from semiseg.errors import TrainingError

CPU = torch.device("cpu")
SAID = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("FIND was unable to find an engine to execute this computation"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    MemoryError("Unable to allocate 1.00 EiB for an array with shape (1152921504606846976,) and data type uint8"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
]
OTHERS = [RuntimeError("CUDA error: an illegal memory access was encountered"), ValueError("out of memory")]


@pytest.mark.parametrize("error", SAID, ids=str)
def test_every_way_in_which_memory_runs_out_is_known(error):
    assert ran_out(error)
    with (
        pytest.raises(TrainingError, match=r"^Memory (ran|may have run) out \(") as caught,
        raising_on_oom(CPU, STEP_FIX),
    ):
        raise error
    assert caught.value.__cause__ is error
    assert str(error).splitlines()[0] in str(caught.value)
    assert "training.step.mode=alternating" in str(caught.value)


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_other_errors_are_left_as_they_are(error):
    assert not ran_out(error)
    with pytest.raises(type(error)) as caught, raising_on_oom(CPU, STEP_FIX):
        raise error
    assert caught.value is error


def test_what_ran_out_in_validation_is_told_of_validation():
    with (
        pytest.raises(TrainingError, match=r"inference\.batch_size") as caught,
        raising_on_oom(CPU, STEP_FIX),
        raising_on_oom(CPU, VALIDATION_FIX),
    ):
        raise SAID[0]
    assert "alternating" not in str(caught.value)
