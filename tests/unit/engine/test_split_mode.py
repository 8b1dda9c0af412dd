"""Two real processes, one network each, against one process with both."""

import math
from pathlib import Path

import pytest
import torch
from helpers_processes import run_on_two
from split_cases import CASES, STEPS, TRAINED, start, train
from test_step_modes import SIZE, largest_difference
from tiny_trainer import tiny_trainer

from semiseg.engine.runtime import Runtime
from semiseg.engine.step_modes import StepMode
from semiseg.runs.checkpoint import load_state
from semiseg.runs.log import JsonLog

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def split_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("split")
    run_on_two(folder, program=Path(__file__).with_name("split_cases.py"))
    return folder


def results(folder, name):
    return [torch.load(folder / f"{name}-{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_what_one_does_bit_for_bit(split_folder, name):
    alone = train(name, StepMode("joint", CASES[name][2]), Runtime("cpu", "32"))
    assert largest_difference(alone["weights"], start(name).state_dict()) > 1e-3
    for state in results(split_folder, name):
        assert largest_difference(state["weights"], alone["weights"]) == 0
        assert state["optimizers"].keys() == alone["optimizers"].keys()
        for role, expected in alone["optimizers"].items():
            for number, moments in expected["state"].items():
                for key, value in moments.items():
                    assert torch.equal(state["optimizers"][role]["state"][number][key], value)
        for losses, expected in zip(state["losses"], alone["losses"], strict=True):
            assert losses == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_step_s_exchange_is_a_byte_a_voxel_from_each_network(split_folder):
    for name in ("unet", "unet_by_one", "unetr_by_three", "norm_and_dropout"):
        for state in results(split_folder, name):
            assert state["sent"] == 2 * STEPS * 4 * math.prod(SIZE)


@pytest.mark.slow
def test_a_training_killed_and_resumed_in_two_processes_is_that_of_one(split_folder, tmp_path):
    alone = tiny_trainer(tmp_path / "alone", **TRAINED)
    alone.fit()
    for name in ("step-00000012", "best", "last"):
        two = load_state(split_folder / "trained" / "checkpoints" / f"{name}.pt")
        one = load_state(alone.checkpoints.folder / f"{name}.pt")
        assert two["step"] == one["step"]
        assert largest_difference(two["strategy"], one["strategy"]) == 0
        for role, means in one.get("ema", {"networks": {}})["networks"].items():
            assert largest_difference(two["ema"]["networks"][role], means) == 0
    assert scores(split_folder / "trained") == scores(tmp_path / "alone")


def scores(folder):
    records = JsonLog(folder / "log.jsonl").read()
    return [(record["step"], record["validation"]) for record in records]
