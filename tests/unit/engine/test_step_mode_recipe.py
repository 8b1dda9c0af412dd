"""Step modes as a recipe asks for them: what ``check`` tells, what is refused with its key, and what a run takes."""

import json

import pytest
import torch
from helpers_processes import run_on_two
from test_step_modes import largest_difference

from semiseg import check, run
from semiseg.errors import DataError, Problem, RecipeError
from semiseg.interfaces.strategy import BatchNeeds, StreamNeeds
from semiseg.pipeline import step_mode
from semiseg.pipeline.plan import make_plan
from semiseg.pipeline.step_mode import process_problems
from semiseg.progress import Reporter
from semiseg.recipe.load import load_recipe
from semiseg.runs.checkpoint import load_state
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.strategies.supervised import Supervised

RECIPE = {
    "name": "modes",
    "dataset": {"name": "phantom", "cases": 6, "size": [32, 32, 32]},
    "split": {"test": 1, "validation": 1, "labeled": 2, "total": 4},
    "augmentation": "none",
    "backbone": {"name": "unet", "channels": [4, 8], "strides": [2], "num_res_units": 0},
    "strategy": {"name": "cps", "wait_share": 0.3},
    "training": {
        "epochs": 2,
        "examples_per_epoch": 8,
        "patch_size": [16, 16, 16],
        "batch_size": {"labeled": 2, "unlabeled": 2},
        "workers": 0,
        "device": "cpu",
    },
    "inference": {"overlap": 0.0},
}


def refused(recipe, *overrides, quick=True):
    with pytest.raises(RecipeError) as caught:
        check(recipe, overrides=overrides, quick=quick)
    return caught.value.problems


def test_check_tells_the_mode_and_its_memory():
    lines = check(RECIPE, quick=True)
    (line,) = [line for line in lines if line.startswith("Step mode: ")]
    assert line.startswith("Step mode: joint on the whole batch (step memory about ")
    lines = check(RECIPE, overrides=["training.step.mode=alternating", "training.step.micro_batch=1"], quick=True)
    assert any(line.startswith("Step mode: alternating by micro-batches of 1 (") for line in lines)
    lines = check(RECIPE, overrides=["training.step.mode=split"], quick=True)
    assert any("torchrun --nproc-per-node 2" in line for line in lines)


def test_little_memory_makes_auto_choose_less(monkeypatch):
    def chosen(share):
        plan = make_plan(load_recipe(RECIPE, ()))
        found = step_mode.OpenModes(plan, world=1)
        room = int(found.estimate(found.modes[0]) * share)
        monkeypatch.setattr(step_mode, "memory_room", lambda *_: room)
        return str(step_mode.forecast(plan)[0].mode)

    assert chosen(1.0) == "joint on the whole batch"
    assert chosen(0.99) == "joint by micro-batches of 2"
    assert chosen(0.1) == "alternating by micro-batches of 1"


def test_a_step_that_no_mode_brings_into_the_memory_that_there_is_is_a_problem(monkeypatch):
    overrides = ["training.step.mode=joint", "training.step.micro_batch=4"]
    plan = make_plan(load_recipe(RECIPE, overrides))
    _, memory = step_mode.forecast(plan)
    monkeypatch.setattr(step_mode, "device_memory", lambda kind: memory.total)
    assert check(RECIPE, overrides=overrides, quick=True)[-1] == "No problems found."

    monkeypatch.setattr(step_mode, "device_memory", lambda kind: memory.total - 1)
    (problem,) = refused(RECIPE, *overrides)
    assert problem.what.startswith(f"a training step needs about {memory.total / 2**30:.3g} GiB of memory")
    assert "patches of 16 x 16 x 16 voxels" in problem.what
    assert problem.fix == (
        "Use a smaller training.patch_size or backbone, or training.step.mode=auto with training.step.micro_batch=auto,"
        " or a smaller training.batch_size. If you will train on another machine, run the check there."
    )
    monkeypatch.setattr(step_mode, "memory_room", lambda *_: memory.total - 1)
    assert check(RECIPE, quick=True)[-1] == "No problems found."  # auto takes what fits


def test_in_bf16_the_networks_keep_half(monkeypatch):
    plan = make_plan(load_recipe(RECIPE, ()))
    _, memory = step_mode.forecast(plan)
    monkeypatch.setattr(step_mode, "device_memory", lambda kind: memory.total - memory.activations // 2)
    assert len(step_mode.memory_problems(plan, memory)) == 1
    plan = make_plan(load_recipe(RECIPE, ["training.precision=bf16"]))
    assert step_mode.memory_problems(plan, memory) == []


def test_memory_is_told_beside_what_is_wrong_with_files(monkeypatch):
    monkeypatch.setattr(step_mode, "device_memory", lambda kind: 0)
    bad = Problem("case x", "it is damaged")
    monkeypatch.setattr("semiseg.pipeline.check.verify_cases", lambda *_, **__: [bad])
    with pytest.raises(DataError) as caught:
        check(RECIPE, quick=True)
    assert caught.value.problems[0] == bad
    assert "of memory" in caught.value.problems[1].what


def test_all_that_couples_samples_is_refused_at_once(tmp_path):
    path = tmp_path / "recipe.yaml"
    coupled = {"backbone": RECIPE["backbone"] | {"norm": "batch", "dropout": 0.1}}
    training = {"training": RECIPE["training"] | {"step": {"micro_batch": 2}}}
    path.write_text(json.dumps(RECIPE | coupled | training, indent=1))
    problems = refused(path)
    assert len(problems) == 2
    assert all("training.step.micro_batch" in p.what and "recipe.yaml:" in p.what for p in problems)
    assert "batch normalization" in problems[0].what
    assert "dropout" in problems[1].what
    assert all("4, the whole batch" in p.fix for p in problems)


def test_norm_and_dropout_leave_the_whole_batch_open():
    overrides = ["backbone.norm=batch", "backbone.dropout=0.1"]
    plan = make_plan(load_recipe(RECIPE, overrides))
    assert [str(m) for m in step_mode.OpenModes(plan, 1).modes] == [
        "joint on the whole batch",
        "alternating on the whole batch",
    ]
    assert (
        check(RECIPE, overrides=[*overrides, "training.step.mode=alternating"], quick=True)[-1] == "No problems found."
    )


class WholeBatches(CrossPseudoSupervision):
    exact = frozenset()
    whole_batch = True


class Groups(CrossPseudoSupervision):
    needs = BatchNeeds(unlabeled=StreamNeeds(unit=2))


def test_what_a_strategy_does_not_declare_is_refused():
    recipe = load_recipe(RECIPE, ["training.step.mode=alternating", "training.step.micro_batch=1"])
    mode, part = refused(recipe.with_component("strategy", WholeBatches))
    assert mode.what.startswith("training.step.mode ")
    assert "does not declare alternating" in mode.what
    assert part.what.startswith("training.step.micro_batch ")
    assert "losses of the whole batch" in part.what
    (group,) = refused(recipe.with_component("strategy", Groups))
    assert "groups of 2 samples" in group.what


def test_a_strategy_of_one_network_has_only_the_joint_mode():
    recipe = load_recipe(RECIPE, ["training.step.mode=split"]).with_component("strategy", Supervised)
    (problem,) = refused(recipe)
    assert problem.what.startswith("training.step.mode ")
    assert "is not a co-training strategy (CoTraining)" in problem.what
    recipe = load_recipe(RECIPE, ["training.step.micro_batch=1"]).with_component("strategy", Supervised)
    assert any("joint by micro-batches of 1" in line for line in check(recipe, quick=True))


def test_a_micro_batch_larger_than_the_batch_is_a_mistake():
    (problem,) = refused(RECIPE, "training.step.micro_batch=5")
    assert (
        "training.step.micro_batch (--set training.step.micro_batch=5) is 5, but a step has 4 samples" in problem.what
    )


def test_split_takes_a_process_for_each_network(tmp_path):
    recipe = load_recipe(RECIPE, ["training.step.mode=split"])
    plan = make_plan(recipe)
    assert process_problems(plan, 2) == []
    assert "there are 3" in process_problems(plan, 3)[0].what
    with pytest.raises(RecipeError, match=r"torchrun --nproc-per-node 2 -m semiseg\.cli\.main run"):
        run(recipe, tmp_path / "run")


class Listener(Reporter):
    def __init__(self):
        self.heard = []

    def say(self, text):
        self.heard.append(text)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.slow
def test_two_processes_give_the_run_of_one(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMISEG_CACHE", str(tmp_path / "cache"))
    recipe = RECIPE | {"backbone": RECIPE["backbone"] | {"norm": "batch", "dropout": 0.1}}
    listener = Listener()
    run(recipe, tmp_path / "one", reporter=listener)
    assert any(text.startswith("Step mode: joint on the whole batch (step memory about") for text in listener.heard)
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    run_on_two("run", path, "-o", tmp_path / "two", "--set", "training.step.mode=split")
    one, two = (load_state(tmp_path / name / "checkpoints" / "last.pt")["strategy"] for name in ("one", "two"))
    assert largest_difference(one, two) == 0
    assert all(torch.isfinite(value).all() for value in one.values())
    assert (tmp_path / "one" / "scores.csv").read_text() == (tmp_path / "two" / "scores.csv").read_text()
