"""Idle threads of torch's CPU kernels sleep, so that another busy process does not slow down training.

By default OpenMP threads spin: each keeps its core while it waits for the others. With more busy threads than cores,
the thread that the others wait for gets no core (measured by tests/benchmarks/test_wait_policy.py).
"""

import os

_SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def sleep_while_waiting() -> None:
    """Make waiting threads sleep, unless the environment sets a policy; effective only before torch is imported."""
    if not _is_set():
        os.environ["OMP_WAIT_POLICY"] = "passive"


def spinning_note(threads: int) -> list[str]:
    """Return a warning if ``threads`` OpenMP threads would spin and the environment sets no policy."""
    if threads < 2 or _is_set():
        return []
    return [
        "idle OpenMP threads spin, which slows down every training step while another process is busy: set"
        " OMP_WAIT_POLICY=passive in the environment, or in os.environ before torch is imported"
    ]


def _is_set() -> bool:
    return any(name in os.environ for name in _SETTINGS)
