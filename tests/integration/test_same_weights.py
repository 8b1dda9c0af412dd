"""The last and the best weights: predicted and scored once where they are the same, each by itself where not."""

import json
import shutil
from dataclasses import replace

import pytest
from drawn_run import drawn_run
from PIL import Image
from ruamel.yaml import YAML
from small_run import SMALL
from typer.testing import CliRunner

import semiseg as library
from semiseg.cli.main import app
from semiseg.engine.runtime import Runtime
from semiseg.inference.image import Ensemble
from semiseg.pipeline.model import new_model
from semiseg.pipeline.plan import make_plan
from semiseg.pipeline.predictions import best_is_last, predict_test_cases
from semiseg.pipeline.score import score_predictions
from semiseg.progress import Reporter
from semiseg.runs.checkpoint import load_state, save_state
from semiseg.runs.folder import RunFolder
from semiseg.scoring.table import read_scores

RECIPE = {**SMALL, "split": {"test": 2, "validation": 1, "labeled": 2}}
SENTENCE = "The best validation was the last one: last and best are the same weights, predicted and scored once."


class Kill(BaseException):
    """Stands for SIGKILL."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A run folder whose best weights are other ones than the last."""
    return drawn_run(tmp_path_factory.mktemp("drawn") / "run", RECIPE)


@pytest.fixture
def other(drawn, tmp_path):
    return RunFolder(shutil.copytree(drawn, tmp_path / "other"))


@pytest.fixture
def alike(drawn, tmp_path):
    """The same with equal weights, in files that differ."""
    folder = RunFolder(shutil.copytree(drawn, tmp_path / "alike"))
    make_best_last(folder)
    return folder


def make_best_last(folder):
    save_state(folder.weights("best"), load_state(folder.weights("last")) | {"step": 7})


@pytest.fixture
def calls(monkeypatch):
    """Counts what is predicted; ``calls.most`` are allowed before the process is killed."""
    plain = Ensemble.predict

    class Calls(list):
        most = 99

    made = Calls()

    def counted(self, volume, where, receive):
        if len(made) == made.most:
            raise Kill
        made.append(where)
        return plain(self, volume, where, receive)

    monkeypatch.setattr(Ensemble, "predict", counted)
    return made


def finish(folder):
    """What a run does after training."""
    plan, runtime = make_plan(library.load_recipe(folder.recipe)), Runtime("cpu", "32")
    same = best_is_last(folder, runtime)
    predict_test_cases(plan, new_model(plan, runtime), folder, same, runtime, Reporter())
    score_predictions(plan, folder, same, Reporter())
    return json.loads(folder.summary.read_text())


def files(folder, checkpoint):
    return {path.name: path.read_bytes() for path in (folder.predictions / checkpoint).glob("*.nii.gz")}


def rows(folder, checkpoint):
    found = [score for score in read_scores(folder.scores) if score.checkpoint == checkpoint]
    return [repr(replace(score, checkpoint="")) for score in found]  # nan is like nan


def n_pictures(folder):
    with Image.open(folder.preview) as picture:
        return round(picture.width / 264)


def test_the_same_weights_predict_and_score_each_case_once(alike, calls):
    summary = finish(alike)
    assert len(calls) == 2
    assert len(files(alike, "last")) == 2
    assert files(alike, "best") == files(alike, "last")
    assert rows(alike, "best") == rows(alike, "last") != []
    assert summary["best_is_last"] is True
    assert summary["scores"]["checkpoints"]["best"] == summary["scores"]["checkpoints"]["last"]
    assert summary["weights"]["best"] != summary["weights"]["last"]  # of the files, which differ in their step
    page = alike.report.read_text()
    assert page.count(SENTENCE) == 1
    assert "last = best weights" in page
    assert "best weights:" not in page.replace("last = best weights:", "")
    assert n_pictures(alike) == 3


def test_other_weights_are_predicted_scored_and_shown_each(other, calls):
    summary = finish(other)
    assert len(calls) == 4
    assert summary["best_is_last"] is False
    assert files(other, "best") != files(other, "last")
    assert rows(other, "best") != rows(other, "last")
    page = other.report.read_text()
    assert "last = best" not in page
    assert "same weights" not in page
    assert "last weights" in page
    assert "best weights" in page
    assert n_pictures(other) == 4


@pytest.mark.parametrize("most", [0, 1])
def test_killed_between_two_cases_it_goes_on_there(alike, calls, most):
    calls.most = most
    with pytest.raises(Kill):
        finish(alike)
    assert len(files(alike, "last")) == most
    calls.most = 2
    finish(alike)
    assert len(calls) == 2
    assert files(alike, "best") == files(alike, "last")
    assert len(files(alike, "best")) == 2


def test_files_that_are_missing_or_damaged_are_made_anew(alike, calls):
    finish(alike)
    whole = files(alike, "last")
    first, second = sorted(whole)
    (alike.predictions / "best" / first).write_bytes(b"damaged")
    (alike.predictions / "best" / second).unlink()
    finish(alike)
    assert len(calls) == 2  # copies come from the other folder
    assert files(alike, "best") == whole
    for checkpoint in ("last", "best"):
        (alike.predictions / checkpoint / first).write_bytes(b"damaged")
    (alike.predictions / "last" / first).unlink()
    finish(alike)
    assert len(calls) == 3
    assert files(alike, "last") == files(alike, "best") == whole


def test_predictions_of_weights_that_became_the_same_are_replaced(other, calls):
    finish(other)
    last = files(other, "last")
    make_best_last(other)
    finish(other)
    assert len(calls) == 4
    assert files(other, "last") == files(other, "best") == last


@pytest.fixture(scope="module")
def short():
    """One epoch: the first validation is the last one."""
    return {**RECIPE, "training": {**SMALL["training"], "epochs": 1}}


@pytest.mark.parametrize("validation", [1, 0])
def test_a_run_whose_best_is_last_says_so_also_when_it_goes_on(short, validation, calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = {**short, "split": {**short["split"], "validation": validation}}
    result = library.run(recipe, "runs/small")
    (tmp_path / "runs/small/summary.json").unlink()
    assert library.run(recipe, "runs/small", resume=True).scores == result.scores
    assert len(calls) == 2
    YAML(typ="safe").dump(recipe, tmp_path / "recipe.yaml")

    said = CliRunner().invoke(app, ["run", "recipe.yaml", "-o", "runs/small", "--resume", "-q"]).stdout
    assert "last = best:" in said
    assert said.count("all classes") == 2  # Dice and HD95
    reason = (
        SENTENCE
        if validation
        else "There are no validation cases to choose the best weights: last and best are the same"
    )
    assert reason in said
    assert said.endswith("Report: runs/small/report.html\nRun folder: runs/small\n")

    (tmp_path / "runs/small/report.html").unlink()
    again = CliRunner().invoke(app, ["run", "recipe.yaml", "-o", "runs/small", "--resume", "-q"]).stdout
    assert again == said
    assert (tmp_path / "runs/small/report.html").exists()
