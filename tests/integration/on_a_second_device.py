"""Training and prediction on a second device, as on a GPU: test_second_device.py starts this file.

Nothing is combined with a tensor that was left on the CPU, the device is waited for once a step, and all comes to the
same to the last bit.
"""

from contextlib import nullcontext

import helpers_second_device
import numpy as np
import pytest
import torch
from helpers_second_device import SecondDevice, reads
from small_run import SMALL

import semiseg
from semiseg.engine.build import build_networks
from semiseg.engine.optim import make_optimizers
from semiseg.engine.probe import noise_batch, probe
from semiseg.engine.runtime import Runtime
from semiseg.engine.schedule import TrainingSchedule
from semiseg.engine.step import StepRunner
from semiseg.engine.step_modes import StepMode, inexact
from semiseg.errors import Interrupted
from semiseg.inference.sliding_window import Predictor
from semiseg.losses import _dice_plain
from semiseg.progress import Meter, Reporter
from semiseg.recipe import schema
from semiseg.registry import installed, load
from semiseg.testing.tiny import TinyBackbone
from semiseg.types import Task

NAMES = [entry.name for entry in installed("strategy")]
MODES = [StepMode(), StepMode("alternating", 2)]
"""Whole batches and micro-batches, all networks at once and one after the other."""
TASK = Task(1, ("background", "a", "b"), (16, 16, 16))
IMAGE = np.random.default_rng(0).standard_normal((1, 20, 18, 17)).astype(np.float32)
THERE = helpers_second_device.use()


@pytest.fixture(autouse=True)
def _sums_in_the_same_order(monkeypatch):
    monkeypatch.setattr(_dice_plain, "_CHUNK_CPU", _dice_plain._CHUNK)


def test_what_a_gpu_refuses_is_refused_here():
    with SecondDevice():
        there, here = torch.ones((2, 2), device=THERE), torch.ones((2, 2))
        assert (there + 1 + torch.tensor(1.0)).device == THERE
        assert torch.equal((there @ here.to(THERE)).cpu(), 2 * here)
        for mixed in (lambda: there + here, lambda: torch.cat([there, here]), lambda: here[there.long()]):
            with pytest.raises(RuntimeError, match="tensors of two devices"):
                mixed()
        with pytest.raises(TypeError, match=r"copy it with Tensor.cpu\(\)"):
            np.asarray(there)


def runtime_on(device):
    runtime = Runtime("cpu", "32")
    runtime.device = torch.device(device)
    return runtime


def strategy_on(device, cls):
    roles = cls.roles(cls.Options())
    networks = build_networks(roles, {role.name: TinyBackbone() for role in roles}, TASK, seed=0)
    return cls(cls.Options(), networks).to(device), [role for role in roles if role.trained]


def batch_on(device, cls, strategy):
    sizes = (2, 2) if cls.needs.unlabeled.uses else (4, 0)
    batch = noise_batch(TASK, *sizes, torch.device("cpu"), cls.needs.targets, strategy.stages()[-1].pseudo_labels)
    return batch.apply(lambda tensor: tensor.to(device, non_blocking=True))


def trained_on(device, cls, mode):
    """What steps report, how often each reads the device, predictions and weights."""
    strategy, trained = strategy_on(device, cls)
    batch, runtime = batch_on(device, cls, strategy), runtime_on(device)
    timetable = TrainingSchedule(strategy.stages(), 100, 1, 1, seed=0)
    optimizers = make_optimizers(schema.Optimizer(lr=1e-3), strategy.networks, trained)
    runner, reports, waits = StepRunner(strategy, optimizers, runtime, mode, gradient_clip=0.1), [], []
    for index in (0, 50, 99):
        reads.clear()
        reports.append(runner(batch, timetable.step(index)))
        waits.append(reads.total())
    probabilities = Predictor(strategy, TASK.patch_size, schema.Inference(), device).probabilities(IMAGE)
    weights = {name: value.cpu() for name, value in strategy.state_dict().items()}
    return reports, waits, probabilities, weights


def exact():
    for name in NAMES:
        cls = load("strategy", name)
        strategy, _ = strategy_on("cpu", cls)
        networks = dict(strategy.networks.items())
        yield from ((name, mode) for mode in MODES if not inexact(mode, cls, networks, 4, "32"))


@pytest.mark.parametrize(("name", "mode"), list(exact()), ids=str)
def test_a_strategy_trains_and_predicts_there_as_on_the_cpu(name, mode):
    cls = load("strategy", name)
    reports, _, probabilities, weights = trained_on("cpu", cls, mode)
    with SecondDevice():
        found = trained_on(THERE, cls, mode)
    assert found[0] == reports
    looks = name in ("bcp", "sdcl")  # for connected components, on the CPU
    assert max(found[1]) == (2 if mode.name == "alternating" else 1) + looks
    assert torch.equal(found[2], probabilities)
    assert all(torch.equal(found[3][key], value) for key, value in weights.items())


def test_a_trial_of_a_step_mode_leaves_the_networks_as_they_were():
    cls = load("strategy", "cps")
    with SecondDevice():
        strategy, trained = strategy_on(THERE, cls)
        before = {name: value.cpu().clone() for name, value in strategy.state_dict().items()}
        late = TrainingSchedule(strategy.stages(), 100, 1, 1, seed=0).step(99)

        def optimizers():
            return make_optimizers(schema.Optimizer(lr=1.0), strategy.networks, trained)

        batch = batch_on(THERE, cls, strategy)
        assert probe(strategy, optimizers, runtime_on(THERE), StepMode(), batch, late)
        after = {name: value.cpu() for name, value in strategy.state_dict().items()}
    assert all(torch.equal(after[name], value) for name, value in before.items())


class Stopping(Reporter):
    """Stops a run after its fifth step, as Ctrl-C would."""

    def work(self, name, total, done=0, unit=""):
        class Stop(Meter):
            def at(self, done, figures=None):
                if done == 5:
                    raise Interrupted("stopped", "")

        return nullcontext(Stop()) if name == "training" else super().work(name, total, done, unit)


@pytest.mark.parametrize("augmentation_on", ["workers", "device"])
def test_a_run_there_is_stopped_goes_on_and_scores_as_on_the_cpu(tmp_path, monkeypatch, augmentation_on):
    training = {**SMALL["training"], "epochs": 2, "precision": "32", "augmentation_on": augmentation_on}
    training |= {"ema": 0.9, "gradient_clip": 1.0, "foreground_share": 0.5}
    recipe = {**SMALL, "augmentation": {"name": "fused"}, "training": training}
    expected = semiseg.run(recipe, tmp_path / "cpu")
    monkeypatch.setattr("semiseg.pipeline.run.Runtime", lambda *_: runtime_on(THERE))
    with SecondDevice():
        with pytest.raises(Interrupted):
            semiseg.run(recipe, tmp_path / "there", reporter=Stopping())
        assert list((tmp_path / "there/checkpoints").glob("step-*.pt"))
        found = semiseg.run(recipe, tmp_path / "there", resume=True)
    assert found.scores == expected.scores
    assert found.summary == expected.summary
