"""Time of a training step by how OpenMP's threads wait, idle and beside a busy process: spinning against sleeping.

The peer is torch's default, which spins. A convolution forward and backward, in two threads (what a laptop of two cores
has), in processes that take turns; the busy process computes in Python. Run with
``pytest tests/benchmarks/test_wait_policy.py --benchmark-enable -s``: the ratios are printed at the end. No time is
asserted; without ``--benchmark-enable`` one step shows that it works.
"""

import os
import statistics
import subprocess
import sys
from contextlib import contextmanager

import pytest

STEPS = """
import statistics, sys, time, torch
torch.set_num_threads(2)
layer = torch.nn.Conv3d(16, 16, 3, padding=1)
image = torch.randn(2, 16, *[int(sys.argv[1])] * 3, requires_grad=True)
seconds = []
for _ in range(int(sys.argv[2]) + 1):
    started = time.perf_counter()
    layer(image).square().mean().backward()
    seconds.append(time.perf_counter() - started)
print(statistics.median(seconds[1:]))
"""
WAITS = {"spinning": {}, "sleeping": {"OMP_WAIT_POLICY": "passive"}}
UNSET = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")


def seconds(wait, side, steps):
    environment = {key: value for key, value in os.environ.items() if key not in UNSET} | WAITS[wait]
    command = [sys.executable, "-c", STEPS, str(side), str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout)


@contextmanager
def busy_process():
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_a_step_beside_a_busy_process_and_idle(benchmark, request):
    measured = request.config.getoption("benchmark_enable")
    if not measured:  # starting a process for each takes as long as other tests
        assert seconds("sleeping", 8, 1) > 0
        pytest.skip("times are measured with --benchmark-enable")
    rounds, side, steps = 5, 48, 10
    found = {}
    for _ in range(rounds):
        for wait in WAITS:
            found.setdefault((wait, "idle"), []).append(seconds(wait, side, steps))
            with busy_process():
                found.setdefault((wait, "busy"), []).append(seconds(wait, side, steps))
    medians = {key: statistics.median(values) for key, values in found.items()}
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        print()
        for state in ("idle", "busy"):
            spinning, sleeping = medians["spinning", state], medians["sleeping", state]
            ratio = f"{spinning / sleeping:.2f} times"
            print(f"{state}: {spinning:.3f} s spinning, {sleeping:.3f} s sleeping; spinning takes {ratio} as long")
    benchmark.extra_info.update({" ".join(key): value for key, value in medians.items()})
    benchmark.pedantic(seconds, ("sleeping", side, steps))
