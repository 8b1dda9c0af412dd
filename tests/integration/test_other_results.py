"""A finished run whose test cases are predicted or scored in another way: what is kept, made again, and refused."""

import json
from pathlib import Path
from shutil import copytree

import pytest
from helpers_reporter import Heard
from small_run import SMALL

from semiseg import load_recipe, predict, run
from semiseg.errors import Interrupted, RunError
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.diff import recipe_hash
from semiseg.runs.checkpoint import file_digest

SUPERVISED = SMALL | {"strategy": {"name": "supervised"}, "training": {**SMALL["training"], "epochs": 2}}
LARGEST = "inference.postprocess=largest_component"
WHOLE = "evaluation.regions={whole: [sphere, cube]}"
ONE_METRIC = "evaluation.metrics=[{name: dice}]"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SEMISEG_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with its scores, to be copied."""
    home = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMISEG_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        train(home / "run")
    return home / "run"


@pytest.fixture
def there(finished, tmp_path):
    return Path(copytree(finished, tmp_path / "run"))


def train(folder, *overrides, resume=False, reporter=None):
    return run(load_recipe(SUPERVISED, overrides), folder, resume=resume, reporter=reporter)


def predictions(folder):
    return {path.name: file_digest(path) for path in sorted((folder / "predictions" / "last").glob("*.nii.gz"))}


def test_predicted_in_another_way_it_is_as_if_it_had_been_from_the_start(there, tmp_path):
    weights = file_digest(there / "checkpoints" / "last.pt")
    heard = Heard()
    found = train(there, LARGEST, resume=True, reporter=heard)
    expected = train(tmp_path / "new", LARGEST)

    assert found.scores == expected.scores
    assert predictions(there) == predictions(tmp_path / "new") != predictions(there / "results-1")
    assert found.summary["recipe_hash"] == expected.summary["recipe_hash"]
    assert file_digest(there / "checkpoints" / "last.pt") == weights
    told = "inference.postprocess largest_component (was the default)"
    assert any(
        line == f"Note: the training is kept, with new settings for test cases: {told}. Test cases are predicted and "
        "scored again; the results of before are kept in results-1/."
        for line in heard.said
    )
    # A second look at the test cases leaves its trace.
    assert len((there / "test_openings.jsonl").read_text().splitlines()) == 2


def test_the_results_of_before_are_a_run_that_predicts(finished, there, tmp_path):
    train(there, LARGEST, resume=True)
    kept = there / "results-1"
    for name in ("scores.csv", "summary.json", "recipe.yaml", "model.json"):
        assert (kept / name).read_bytes() == (finished / name).read_bytes()
    labels = predictions(finished)
    assert predictions(kept) == labels
    (case,) = labels
    dataset = make_plan(load_recipe(SUPERVISED)).components.dataset
    images = next(found for found in dataset.cases() if f"{found.id}.nii.gz" == case).images
    for home in (kept, there):
        (new,) = predict(home, images, tmp_path / home.name / "out", checkpoint="last")
        assert file_digest(new) == predictions(home)[case]


def test_scored_in_another_way_its_predictions_stay(there):
    labels, heard = predictions(there), Heard()
    found = train(there, ONE_METRIC, resume=True, reporter=heard)
    assert {score.metric for score in found.scores} == {"dice"}
    assert predictions(there) == labels
    assert not (there / "results-1" / "predictions").exists()
    assert "hd95" in (there / "results-1" / "scores.csv").read_text()
    assert any("Test cases are scored again" in line for line in heard.said)


def test_there_and_back_and_there_again_it_keeps_each(there):
    scores = [train(there, resume=True).scores]
    for overrides in ([ONE_METRIC], [], [ONE_METRIC]):
        scores.append(train(there, *overrides, resume=True).scores)
    assert scores[0] == scores[2] != scores[1] == scores[3]
    assert sorted(path.name for path in there.glob("results-*")) == ["results-1", "results-2", "results-3"]
    changed = json.loads((there / "environment.json").read_text())["rescored"]
    assert [record["kept"] for record in changed] == ["results-1", "results-2", "results-3"]
    again = train(there, ONE_METRIC, resume=True)
    assert again.scores == scores[3]
    assert not (there / "results-4").exists()


def test_a_lost_model_json_is_rewritten_after_a_change_too(there):
    found = train(there, ONE_METRIC, resume=True)
    (there / "model.json").unlink()
    assert train(there, ONE_METRIC, resume=True).scores == found.scores
    assert train(there, ONE_METRIC, "training.epochs=3", resume=True).scores  # its weights are known as its own


class Stopping(Heard):
    def __init__(self, title="predicting test cases"):
        super().__init__()
        self.title = title

    def work(self, title, *arguments, **options):
        if title == self.title:
            raise KeyboardInterrupt
        return super().work(title, *arguments, **options)


def test_stopped_before_new_predictions_it_goes_on_with_either_recipe(finished, there):
    with pytest.raises(Interrupted):
        train(there, LARGEST, resume=True, reporter=Stopping())
    assert not (there / "summary.json").exists()
    assert (there / "results-1" / "summary.json").exists()
    assert train(there, LARGEST, resume=True).scores
    train(there, resume=True)
    assert (there / "scores.csv").read_bytes() == (finished / "scores.csv").read_bytes()


@pytest.mark.parametrize("before", ["write_down", "dump_recipe"])
def test_a_kill_while_things_move_loses_nothing(finished, there, monkeypatch, before):

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"semiseg.pipeline.continued.rescoring.{before}", stop)
        with pytest.raises(Interrupted):
            train(there, LARGEST, resume=True)
    if before == "write_down":  # nothing says yet that the recipe is another: that of before goes on, too
        train(there, resume=True)
        assert (there / "scores.csv").read_bytes() == (finished / "scores.csv").read_bytes()
    assert train(there, LARGEST, resume=True).summary["recipe_hash"] == recipe_hash(load_recipe(SUPERVISED, [LARGEST]))
    for kept in there.glob("results-*"):
        assert (kept / "scores.csv").read_bytes() == (finished / "scores.csv").read_bytes()
        assert predictions(kept) == predictions(finished)


def test_before_it_has_results_a_run_just_takes_the_other_settings(tmp_path):
    with pytest.raises(Interrupted):
        train(tmp_path, reporter=Stopping("training"))
    heard = Heard()
    assert train(tmp_path, LARGEST, resume=True, reporter=heard).scores
    told = "inference.postprocess largest_component (was the default)"
    assert f"Note: the training is kept, with new settings for test cases: {told}." in heard.said
    assert not list(tmp_path.glob("results-*"))


@pytest.mark.parametrize(
    "overrides", [["training.epochs=3", LARGEST], ["inference.overlap=0.25"], ["seed=7", ONE_METRIC]], ids=str
)
def test_other_changes_are_refused(there, overrides):
    with pytest.raises(RunError, match=r"more training\.epochs, or with another inference\.mirror"):
        train(there, *overrides, resume=True)
