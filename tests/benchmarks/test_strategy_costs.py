"""What each installed strategy's step costs beside the supervised one's: samples through networks, memory and time.

One engine step in float32 on the CPU, in one thread: 2 labeled and 2 unlabeled patches of 64 x 64 x 64 (4 labeled ones
for the supervised step), the unet of four levels from 16 channels for every role (``cross_teaching`` too), at the last
step of training, where all losses are on. Memory is the peak of live storage (``live_storage``), weights and Adam's
state included. Times are medians of rounds in which every strategy takes one step. Run with
``pytest tests/benchmarks/test_strategy_costs.py --benchmark-enable -s``; without it one round of a small patch runs.
"""

import statistics
import time
from collections import Counter

import pytest
import torch
from live_storage import AdamState, LiveStorage

from semiseg.backbones.unet import UNet
from semiseg.engine.build import build_networks
from semiseg.engine.probe import noise_batch
from semiseg.engine.runtime import Runtime
from semiseg.engine.schedule import TrainingSchedule
from semiseg.engine.step import StepRunner
from semiseg.engine.step_modes import StepMode
from semiseg.registry import installed, load
from semiseg.types import Task

BACKBONE = UNet(UNet.Options(channels=(16, 32, 64, 128), strides=(2, 2, 2), num_res_units=1))
ROUNDS = 5
NAMES = [entry.name for entry in installed("strategy")]
DEVICE = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Step:
    """A strategy's step on one batch, ready to be run."""

    def __init__(self, name, side):
        cls = load("strategy", name)
        options, task = cls.Options(), Task(1, ("background", "a", "b"), (side,) * 3)
        roles = cls.roles(options)
        strategy = cls(options, build_networks(roles, {role.name: BACKBONE for role in roles}, task, 0))
        self.passes = Counter()
        self.step = TrainingSchedule(strategy.stages(), 100, 1, 1, seed=0).step(99)
        pseudo = strategy.stages()[-1].pseudo_labels
        sizes = (2, 2) if cls.needs.unlabeled.uses else (4, 0)
        self.batch = noise_batch(task, *sizes, DEVICE, cls.needs.targets, pseudo)
        optimizers = {r.name: AdamState(strategy.networks[r.name].parameters()) for r in roles if r.trained}
        self.trained = len(optimizers)
        self.runner = StepRunner(strategy, optimizers, Runtime("cpu", "32"), StepMode())
        self.count(strategy)

    def count(self, strategy):
        for role, network in strategy.networks.items():

            def count(module, inputs, role=role):
                self.passes["with" if torch.is_grad_enabled() else "without"] += len(inputs[0])

            network.register_forward_pre_hook(count)

    def __call__(self):
        self.passes.clear()
        self.runner(self.batch, self.step)


@pytest.fixture(scope="module")
def costs(request):
    timed = request.config.getoption("benchmark_enable")
    side = 64 if timed else 16
    found = {}
    for name in NAMES:
        with LiveStorage() as live:
            step = Step(name, side)
            step()
        found[name] = {"memory": live.peak, "networks": step.trained, **dict(step.passes), "seconds": []}
    for _ in range(ROUNDS if timed else 0):
        for name in NAMES:
            step = Step(name, side)
            started = time.perf_counter()
            step()
            found[name]["seconds"].append(time.perf_counter() - started)
    if timed:
        show(request, found)
    return found


def show(request, found):
    base = found["supervised"]
    rounds = list(zip(*(found[name]["seconds"] for name in NAMES), strict=True))
    lines = [f"{'strategy':22} networks  samples with and without gradient  memory   time"]
    for index, name in enumerate(NAMES):
        cost = found[name]
        ratio = statistics.median(times[index] / times[NAMES.index("supervised")] for times in rounds)
        passes = f"{cost.get('with', 0)} + {cost.get('without', 0)}"
        lines.append(
            f"{name:22} {cost['networks']:8}  {passes:>33}  {cost['memory'] / base['memory']:6.2f} {ratio:6.2f}"
        )
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("", *lines, sep="\n")


def test_samples_through_networks(costs):
    """These are counts, the same on every machine: samples with a gradient, and without."""
    expected = {
        "supervised": (4, 0),
        "cps": (8, 0),
        "cross_teaching": (8, 0),
        "entropy_minimization": (4, 0),
        "fixmatch": (4, 2),
        "pi_model": (6, 0),
        "pseudo_label": (4, 0),
        "self_training": (4, 0),
    }
    found = {name: (costs[name].get("with", 0), costs[name].get("without", 0)) for name in expected}
    assert found == expected


def test_two_networks_take_more_memory_than_one(costs):
    assert costs["cps"]["memory"] > 1.5 * costs["supervised"]["memory"]
    assert costs["self_training"]["memory"] < 1.3 * costs["supervised"]["memory"]
