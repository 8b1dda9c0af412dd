"""How the threads of torch's CPU kernels wait for work: asleep, so that another busy process holds up no step.

OpenMP's threads spin by default: each keeps its core while it waits for the others. Where there are more busy threads
than cores, the one that is waited for does not get to run (tests/benchmarks/test_wait_policy.py measures it).
"""

import os

_SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def sleep_while_waiting() -> None:
    """Have waiting threads sleep, unless the environment says how they wait; of use before torch is imported only."""
    if not _is_set():
        os.environ["OMP_WAIT_POLICY"] = "passive"


def spinning_note(threads: int) -> list[str]:
    """What to say to a program that runs ``threads`` OpenMP threads and has not said how they wait."""
    if threads < 2 or _is_set():
        return []
    return [
        "waiting OpenMP threads spin, which beside another busy process holds up every step of training: set"
        " OMP_WAIT_POLICY=passive in the environment, or in os.environ before torch is imported"
    ]


def _is_set() -> bool:
    return any(name in os.environ for name in _SETTINGS)
