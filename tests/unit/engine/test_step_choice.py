from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from tiny_task import MadeBatches, cps

from semiseg.engine.memory import memory_room
from semiseg.engine.probe import Measured, noise_batch, probe
from semiseg.engine.runtime import Runtime
from semiseg.engine.step import StepRunner
from semiseg.engine.step_mode_choice import candidates, choose
from semiseg.engine.step_modes import StepMode
from semiseg.interfaces.batch import Step
from semiseg.io import memory
from semiseg.recipe import schema
from semiseg.types import Task

GIB = 2**30
SIZES = {  # of two networks with 1 GiB a sample and 2 GiB of state
    StepMode("joint"): 10 * GIB,
    StepMode("joint", 2): 6 * GIB,
    StepMode("joint", 1): 4 * GIB,
    StepMode("alternating"): 6 * GIB,
    StepMode("alternating", 2): 4 * GIB,
    StepMode("alternating", 1): 3 * GIB,
}
MODES = list(SIZES)


def test_what_a_recipe_leaves_open():
    def all_exact(mode):
        return True

    def whole_only(mode):
        return mode.micro_batch is None

    auto = schema.StepMode()
    assert candidates(auto, 4, all_exact) == MODES
    assert candidates(auto, 4, whole_only) == [StepMode("joint"), StepMode("alternating")]
    assert candidates(schema.StepMode(mode="split"), 3, all_exact) == [StepMode("split", m) for m in (None, 2, 1)]
    by_two = schema.StepMode(micro_batch=2)
    assert candidates(by_two, 4, all_exact) == [StepMode("joint", 2), StepMode("alternating", 2)]
    assert candidates(by_two, 2, all_exact) == [StepMode("joint"), StepMode("alternating")]  # two processes share 4


@pytest.mark.parametrize(
    ("gib", "chosen"),
    [
        (10, StepMode("joint")),
        (9, StepMode("joint", 2)),
        (5, StepMode("joint", 1)),
        (3.5, StepMode("alternating", 1)),
        (1, StepMode("alternating", 1)),
    ],
)
def test_the_formula_alone_takes_the_first_that_fits(gib, chosen):
    choice = choose(MODES, SIZES.__getitem__, int(gib * GIB))
    assert choice.mode == chosen
    assert f"{gib:g} GiB" in choice.reason


def test_where_there_is_no_choice_nothing_is_estimated_or_tried():
    assert choose([StepMode("split")], None, 10 * GIB).mode == StepMode("split")
    assert choose(MODES, None, None).mode == MODES[0]


def timed(seconds, gib=None):
    """A probe with made-up times; what takes more than ``gib`` runs out of memory. It notes what it was asked."""
    asked = []

    def trial(mode):
        asked.append(mode)
        if gib is not None and SIZES[mode] > gib * GIB:
            return None
        return Measured(seconds[mode.micro_batch or 4], SIZES[mode] if gib else 0)

    trial.asked = asked
    return trial


def test_on_a_gpu_the_fastest_that_fits_is_taken():
    trial = timed({4: 1.0, 2: 0.9, 1: 2.0}, gib=64)
    choice = choose(MODES, SIZES.__getitem__, 64 * GIB, trial, sees_memory=True)
    assert choice.mode == StepMode("joint", 2)
    assert trial.asked == [StepMode("joint", 1), StepMode("joint", 2), StepMode("joint")]
    assert "joint on the whole batch: 1 s, 10.00 GiB" in choice.reason
    close = timed({4: 1.0, 2: 0.97, 1: 0.96}, gib=64)  # not worth it
    assert choose(MODES, SIZES.__getitem__, 64 * GIB, close, sees_memory=True).mode == StepMode("joint")


def test_on_a_gpu_what_runs_out_of_memory_ends_the_trials_of_its_kind():
    trial = timed({4: 1.0, 2: 1.0, 1: 1.0}, gib=5)
    choice = choose(MODES, SIZES.__getitem__, 5 * GIB, trial, sees_memory=True)
    assert choice.mode == StepMode("joint", 1)
    assert trial.asked == [StepMode("joint", 1), StepMode("joint", 2)]
    nothing = timed({4: 1.0, 2: 1.0, 1: 1.0}, gib=0.1)
    assert choose(MODES, SIZES.__getitem__, 2 * GIB, nothing, sees_memory=True).mode == StepMode("alternating", 1)


def test_on_the_cpu_trials_are_for_what_is_left_where_the_whole_batch_does_not_fit():
    trial = timed({4: 1.0, 2: 1.0, 1: 0.5})
    assert choose(MODES, SIZES.__getitem__, 10 * GIB, trial).mode == StepMode("joint")
    assert choose(MODES, SIZES.__getitem__, 5 * GIB, trial).mode == StepMode("joint", 1)  # only one fits
    assert trial.asked == []
    assert choose(MODES, SIZES.__getitem__, 7 * GIB, trial).mode == StepMode("joint", 1)
    assert trial.asked == [StepMode("joint", 1), StepMode("joint", 2)]


def test_a_trial_leaves_nothing_behind():
    strategy, runtime = cps(), Runtime("cpu", "32")
    before = {key: value.clone() for key, value in strategy.state_dict().items()}
    steps = []
    plain = strategy.after_step
    strategy.after_step = lambda step: (steps.append(step), plain(step))

    def optimizers():
        return {role: torch.optim.Adam(net.parameters(), lr=0.1) for role, net in strategy.networks.items()}

    task = Task(1, ("background", "bright"), (8, 8, 8))
    batch, late = noise_batch(task, 2, 2, torch.device("cpu")), Step(9, 10, 5)
    result = probe(strategy, optimizers, runtime, StepMode("alternating"), batch, late)
    assert result.seconds > 0
    assert result.bytes == 0
    assert steps == [late] * 3
    assert all(torch.equal(value, before[key]) for key, value in strategy.state_dict().items())
    assert all(p.grad is None for p in strategy.parameters())

    said = torch.OutOfMemoryError(), RuntimeError("FIND was unable to find an engine to execute this computation")
    for error in said:
        strategy.after_step = Mock(side_effect=error)
        assert probe(strategy, optimizers, runtime, StepMode(), batch, late) is None
        assert all(torch.equal(value, before[key]) for key, value in strategy.state_dict().items())
    strategy.after_step = Mock(side_effect=RuntimeError("an illegal memory access was encountered"))
    with pytest.raises(RuntimeError, match="illegal"):
        probe(strategy, optimizers, runtime, StepMode(), batch, late)
    strategy.after_step = plain
    StepRunner(strategy, optimizers(), runtime)(MadeBatches().batch(0), late)
    assert any(not torch.equal(value, before[key]) for key, value in strategy.state_dict().items())


def test_the_cpu_s_room_is_a_share_of_the_container_s_limit_or_of_the_machine(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMITS", (str(limit),))
    monkeypatch.setattr(memory, "_own_groups", list)
    monkeypatch.setattr(memory, "os", SimpleNamespace(sysconf={"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 100}.get))
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert memory_room("cpu") == 80_000
    limit.write_text("max\n")
    assert memory_room("cpu") == 80_000
    limit.write_text("50000\n")
    assert memory_room("cpu") == 40_000
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert memory_room("cpu") == 20_000
