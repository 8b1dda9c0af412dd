"""A run that is given more epochs: what it comes to, what is kept of it, and what is refused."""

import json

import pytest
import torch
from small_run import SMALL

from semiseg import load_recipe, predict, run
from semiseg.errors import Interrupted, RunError
from semiseg.pipeline.plan import make_plan
from semiseg.progress import Reporter
from semiseg.runs.checkpoint import load_state
from semiseg.runs.folder import RunFolder

SUPERVISED = SMALL | {"strategy": {"name": "supervised"}}
STEPS = 4
"""A step has two samples, an epoch eight."""


class Listener(Reporter):
    def __init__(self):
        self.heard = []

    def say(self, text):
        self.heard.append(text)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SEMISEG_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def train(recipe, folder, *overrides, resume=False, reporter=None):
    return run(load_recipe(recipe, overrides), folder, resume=resume, reporter=reporter)


def weights(folder):
    return load_state(folder / "checkpoints" / "last.pt")["strategy"]


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_with_a_constant_rate_it_ends_as_one_that_had_them_from_the_start(tmp_path):
    constant = "training.schedule.name=constant"
    train(SUPERVISED, tmp_path / "a", constant, "training.epochs=1")
    train(SUPERVISED, tmp_path / "a", constant, "training.epochs=2", resume=True)
    train(SUPERVISED, tmp_path / "b", constant, "training.epochs=2")
    one, two = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(one[key], two[key]) for key in two)
    assert (tmp_path / "a" / "scores.csv").read_text() == (tmp_path / "b" / "scores.csv").read_text()
    assert [record["epochs"] for record in log(tmp_path / "a")] == [1, 2]


def test_a_rate_that_had_come_down_goes_up_to_where_the_longer_schedule_is_and_that_is_told(tmp_path):
    poly = ("training.schedule={name: poly, power: 1.0}", "training.optimizer.lr=0.001")
    first = train(SUPERVISED, tmp_path, *poly, "training.epochs=1")
    before = {name: (tmp_path / name).read_text() for name in ("scores.csv", "summary.json", "recipe.yaml")}
    last, listener = weights(tmp_path), Listener()
    second = train(SUPERVISED, tmp_path, *poly, "training.epochs=2", resume=True, reporter=listener)

    # The rates of the last steps of epochs: the fourth of 4, and the eighth of 8.
    assert [record["lr"] for record in log(tmp_path)] == pytest.approx([0.001 / 4, 0.001 / 8])
    meaning = (
        "The run continues to 2 epochs instead of 1. After step 4 the learning rate (poly) continues at 0.0005, its"
        " value in the schedule over 2 epochs; it was 0.00025. Everything that the strategy ties to a fraction of the"
        " training follows the new length too."
    )
    kept = "Predictions and scores after 1 epochs are kept in until-epoch-1/."
    assert f"Note: {meaning} {kept}" in listener.heard
    (extended,) = json.loads((tmp_path / "environment.json").read_text())["extended"]
    assert (extended["epochs"], extended["step"], extended["meaning"]) == ([1, 2], STEPS, meaning)
    assert second.summary["extended"] == [[1, 2]]
    assert "extended" not in first.summary

    aside = tmp_path / "until-epoch-1"
    assert {name: (aside / name).read_text() for name in before} == before
    kept = weights(aside)
    assert all(torch.equal(last[key], kept[key]) for key in last)
    assert not all(torch.equal(last[key], value) for key, value in weights(tmp_path).items())
    (image,) = (tmp_path / "predictions" / "last").glob("*.nii.gz")
    assert (aside / "predictions" / "last" / image.name).exists()

    again = train(SUPERVISED, tmp_path, *poly, "training.epochs=2", resume=True)
    assert again.scores == second.scores
    assert RunFolder(tmp_path).extensions() == [[1, 2]]


def test_what_is_kept_aside_is_a_run_that_predicts(tmp_path):
    folder = tmp_path / "run"
    train(SUPERVISED, folder, "training.epochs=1")
    train(SUPERVISED, folder, "training.epochs=2", resume=True)
    (case,) = (folder / "until-epoch-1" / "predictions" / "last").glob("*.nii.gz")
    dataset = make_plan(load_recipe(SUPERVISED)).components.dataset
    images = next(found for found in dataset.cases() if f"{found.id}.nii.gz" == case.name).images
    (new,) = predict(folder / "until-epoch-1", images, tmp_path / "out", checkpoint="last")
    assert new.read_bytes() == case.read_bytes()


class Stopping(Reporter):
    """Stops a run by Ctrl-C when it begins to do something."""

    def __init__(self, title):
        self.title = title

    def work(self, title, *arguments, **options):
        if title == self.title:
            raise KeyboardInterrupt
        return super().work(title, *arguments, **options)


def test_one_that_was_stopped_before_it_was_scored_goes_on_too(tmp_path):
    with pytest.raises(Interrupted):
        train(SUPERVISED, tmp_path, "training.epochs=1", reporter=Stopping("scoring"))
    assert not (tmp_path / "summary.json").exists()
    result = train(SUPERVISED, tmp_path, "training.epochs=2", resume=True)
    assert [record["epoch"] for record in log(tmp_path)] == [1, 2]
    assert result.scores


@pytest.mark.parametrize("before", ["write_down", "dump_recipe"])
def test_a_kill_while_things_move_loses_nothing(tmp_path, monkeypatch, before):
    train(SUPERVISED, tmp_path, "training.epochs=1")
    scores = (tmp_path / "scores.csv").read_text()

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"semiseg.pipeline.continued.extension.{before}", stop)
        with pytest.raises(Interrupted):
            train(SUPERVISED, tmp_path, "training.epochs=2", resume=True)
    result = train(SUPERVISED, tmp_path, "training.epochs=2", resume=True)
    assert (tmp_path / "until-epoch-1" / "scores.csv").read_text() == scores
    assert result.summary["extended"] == [[1, 2]]
    assert [record["epochs"] for record in log(tmp_path)] == [1, 2]


def test_more_epochs_written_into_the_run_s_own_recipe_are_an_edit_of_it(tmp_path):
    train(SUPERVISED, tmp_path, "training.epochs=1")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("epochs: 1", "epochs: 2"))
    with pytest.raises(RunError, match="it is not the recipe that the run began with"):
        run(recipe, tmp_path, resume=True)


@pytest.mark.parametrize(
    ("strategy", "overrides", "told"),
    [
        ("supervised", ["training.epochs=1"], "training.epochs: was 2, is 1"),
        ("supervised", ["training.epochs=3", "seed=4"], "seed: was 3, is 4"),
        ("self_training", ["training.epochs=3"], "whose ends would move into steps already done"),
    ],
)
def test_other_changes_and_strategies_of_stages_are_refused(tmp_path, strategy, overrides, told):
    recipe = SMALL | {"strategy": {"name": strategy}}
    with pytest.raises(Interrupted):
        train(recipe, tmp_path, "training.epochs=2", reporter=Stopping("training"))
    before = (tmp_path / "recipe.yaml").read_text()
    with pytest.raises(RunError) as refused:
        train(recipe, tmp_path, *overrides, resume=True)
    assert told in str(refused.value)
    assert (tmp_path / "recipe.yaml").read_text() == before
