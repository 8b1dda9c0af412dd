"""Processes that share a batch: which are refused, what is estimated and tried for them, what is told."""

from dataclasses import replace

import pytest
from test_step_mode_recipe import RECIPE, Groups

from semiseg.engine.runtime import Runtime
from semiseg.interfaces.batch import Step
from semiseg.interfaces.losses import Term
from semiseg.pipeline import step_mode
from semiseg.pipeline.model import new_model
from semiseg.pipeline.plan import make_plan
from semiseg.pipeline.step_mode import process_problems
from semiseg.recipe.load import load_recipe
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.strategies.supervised import Supervised


@pytest.mark.parametrize(
    ("changes", "strategy", "most", "samples"),
    [
        ([], CrossPseudoSupervision, 4, "2 labeled and 2 unlabeled samples: 1 of 5 processes "),
        (
            ["training.batch_size.labeled=1"],
            Groups,
            2,
            "1 labeled and 2 unlabeled samples, some of which must stay together",
        ),
        ([], Supervised, 2, "2 labeled and 0 unlabeled samples: 3 of 5 "),
        (["training.batch_size.fill=always"], Supervised, 4, "4 labeled and 0 unlabeled samples: 1 of 5 "),
    ],
)
def test_a_process_without_samples_is_refused(changes, strategy, most, samples):
    plan = make_plan(load_recipe(RECIPE, changes).with_component("strategy", strategy))
    assert process_problems(plan, 1) == process_problems(plan, most) == []
    (problem,) = process_problems(plan, 5)
    assert samples in problem.what
    assert problem.what.endswith("would have none.")
    assert problem.fix == f"Start at most {most} processes, or increase training.batch_size."


def test_one_sample_is_of_one_process():
    changes = ["training.batch_size={labeled: 1, unlabeled: 0}"]
    (problem,) = process_problems(make_plan(load_recipe(RECIPE, changes)), 2)
    assert problem.where == f"--set {changes[0]}"
    assert problem.fix == "Start one process, or increase training.batch_size."


class OneOf(Runtime):
    """One of several processes that are all alike."""

    def __init__(self, world):
        super().__init__("cpu", "32")
        self.world = world

    def gather(self, value):
        return [value]

    def broadcast(self, value):
        return value


LATE = Step(9, 10, 10, "train", 9, 10, seed=1)


def chosen(plan, world):
    runtime = OneOf(world)
    return step_mode.choose_step_mode(plan, new_model(plan, runtime).strategy, LATE, runtime)


class Pairs(Groups):
    def student_images(self, batch, step):
        assert len(batch.unlabeled) % 2 == 0
        return super().student_images(batch, step)


def test_the_largest_share_that_a_process_has_is_estimated_and_tried(monkeypatch):
    changes = ["training.batch_size.unlabeled=10", "training.step.mode=joint"]
    plan = make_plan(load_recipe(RECIPE, changes).with_component("strategy", Pairs))
    found = step_mode.OpenModes(plan, world=2)
    assert (found.share, found.batch) == ((1, 6), 7)
    monkeypatch.setattr(step_mode, "memory_room", lambda *_: found.estimate(found.modes[0]) - 1)  # calls for a trial
    tried, real = [], step_mode.probe

    def probe(strategy, optimizers, runtime, mode, batch, step):
        tried.append((len(batch.labeled), len(batch.unlabeled), batch.labeled.count, batch.unlabeled.count))
        return real(strategy, optimizers, runtime, mode, batch, step)

    monkeypatch.setattr(step_mode, "probe", probe)
    choice = chosen(plan, 2)
    assert set(tried) == {(1, 6, 2, 10)}
    assert choice.mode.micro_batch in (2, 4)


def test_a_trial_of_a_share_without_labeled_samples_has_the_step_s_counts(monkeypatch):
    class DividesByTheCount(CrossPseudoSupervision):
        def loss(self, role, output, pseudo_labels, batch, step):
            losses = super().loss(role, output, pseudo_labels, batch, step)
            more = Term(output[: len(batch.labeled)].flatten(1).sum(1), batch.labeled)
            return replace(losses, terms={**losses.terms, "more": (1 / batch.labeled.count) * more})

    changes = ["training.batch_size={labeled: 1, unlabeled: 5}", "training.step.mode=joint"]
    plan = make_plan(load_recipe(RECIPE, changes).with_component("strategy", DividesByTheCount))
    found = step_mode.OpenModes(plan, world=2)
    assert found.share == (0, 3)
    monkeypatch.setattr(step_mode, "memory_room", lambda *_: found.estimate(found.modes[0]) - 1)
    assert "measured" in chosen(plan, 2).reason


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (["backbone.norm=batch"], "; batch normalization sees each process's own samples: not the same step as in one"),
        (["backbone.dropout=0.1"], "; dropout draws different masks: not the same step as in one process"),
        (
            ["backbone.norm=batch", "backbone.dropout=0.1"],
            "own samples and dropout draws different masks: not the same",
        ),
    ],
)
def test_what_sharing_changes_is_told_at_the_start(changes, text):
    plan = make_plan(load_recipe(RECIPE, changes))
    assert text in chosen(plan, 2).reason
    assert "process" not in chosen(plan, 1).reason
    assert "process" not in chosen(make_plan(load_recipe(RECIPE, [*changes, "training.step.mode=split"])), 2).reason


def test_nothing_is_told_where_processes_take_the_step_of_one():
    assert "process" not in chosen(make_plan(load_recipe(RECIPE, ())), 2).reason
