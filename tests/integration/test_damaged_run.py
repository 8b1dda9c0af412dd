"""Run folders in which something was edited, swapped, damaged or lost: refused by name, or made again."""

import gzip
import json
import shutil

import pytest
import torch
from drawn_run import copied_to, drawn_run, tied
from helpers_processes import run as semiseg
from helpers_reporter import Heard
from small_run import SMALL

import semiseg as library
from semiseg.errors import RunError
from semiseg.pipeline.plan import make_plan
from semiseg.runs.checkpoint import checksum_file, file_digest, load_state, save_state


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return library.run(SMALL, tmp_path_factory.mktemp("finished") / "run").folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of a finished run."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    home = tmp_path_factory.mktemp("images") / "new"
    return copied_to(home, make_plan(library.load_recipe(SMALL)).cases[:1])


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The same recipe but for its seed: files of the same names and shapes."""
    return library.run({**SMALL, "seed": 4}, tmp_path_factory.mktemp("other") / "run").folder


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refused(run, images, tmp_path, checkpoint="best"):
    """The one problem that prediction is refused for."""
    with pytest.raises(RunError) as caught:
        library.predict(run, images, tmp_path / "out", checkpoint=checkpoint)
    assert not (tmp_path / "out").exists()
    (problem,) = caught.value.problems
    assert problem.fix
    return problem


def test_a_finished_run_predicts_and_has_nothing_to_say_of_itself(run, images, tmp_path):
    heard = Heard()
    for checkpoint in ("last", "best"):
        assert library.predict(run, images, tmp_path / checkpoint, checkpoint=checkpoint, quality=False, reporter=heard)
    assert heard.said == []


@pytest.mark.parametrize(
    "changes",
    [
        {"class_values": [0, 2, 1, 4]},
        {"class_values": [0, 1, 2, 70000]},
        {"label_map": {"0": 0, "1": 2, "2": 1, "4": 3}},
        {"modalities": ["t1", "t1ce", "flair", "t2"]},
        {"classes": ["background", "edema", "necrosis", "enhancing"]},
        {"precision": "bf16"},
        {"more": 1},
    ],
)
def test_an_edited_model_json_is_refused(run, images, tmp_path, changes):
    edit(run / "model.json", **changes)
    problem = refused(run, images, tmp_path)
    assert problem.where == str(run / "model.json")
    assert problem.what.startswith(f"it does not belong to {run}/checkpoints/best.pt: ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("normalize: zscore", "normalize: none"),
        ("overlap: 0.0", "overlap: 0.5"),
        ("crop: true", "crop: false"),
        ("wait_share: 0.3", "wait_share: 0.4"),
    ],
)
def test_an_edited_recipe_is_refused(run, images, tmp_path, old, new):
    replace(run / "recipe.yaml", old, new)
    problem = refused(run, images, tmp_path)
    assert problem.where == str(run / "recipe.yaml")
    assert "was edited: it is not the recipe that the run began with" in problem.what


def test_what_changes_no_prediction_may_be_edited(run, images, tmp_path):
    record = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps(dict(reversed(record.items()))))
    replace(run / "recipe.yaml", "name: small", "name: another  # mine")
    assert library.predict(run, images, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "where"),
    [("model.json", "model.json"), ("recipe.yaml", "recipe.yaml"), ("checkpoints/best.pt", "checkpoints/best.pt")],
)
def test_a_file_of_another_run_is_refused(run, other, images, tmp_path, name, where):
    shutil.copy(other / name, run / name)
    if name.endswith(".pt"):
        shutil.copy(checksum_file(other / name), checksum_file(run / name))
    assert refused(run, images, tmp_path).where == str(run / where)


def test_weights_of_another_run_are_refused_before_the_run_has_ended(run, other, images, tmp_path):
    (run / "summary.json").unlink()
    for name in ("best.pt", "best.pt.sha256"):
        shutil.copy(other / "checkpoints" / name, run / "checkpoints" / name)
    problem = refused(run, images, tmp_path)
    assert problem.where == str(run / "model.json")
    assert f"{run}/checkpoints/best.pt" in problem.what


def test_last_in_the_place_of_best_is_refused_in_a_finished_run(run, images, tmp_path):
    path = run / "checkpoints/best.pt"
    save_state(path, load_state(run / "checkpoints/last.pt") | {"step": 1})
    problem = refused(run, images, tmp_path)
    assert problem.where == str(path)
    assert problem.what.startswith("it does not match its digest in summary.json")
    assert library.predict(run, images, tmp_path / "out", checkpoint="last")


def older(run):
    """As an earlier version left it: nothing says what belongs together."""
    record = json.loads((run / "model.json").read_text())
    added = {"recipe", "recipe_but_epochs", "data_paths"}
    (run / "model.json").write_text(json.dumps({k: v for k, v in record.items() if k not in added}))
    summary = json.loads((run / "summary.json").read_text()) if (run / "summary.json").exists() else None
    for name in ("last", "best"):
        path = run / f"checkpoints/{name}.pt"
        save_state(path, {k: v for k, v in load_state(path).items() if k != "model"})
        if summary:
            summary["weights"][name] = file_digest(path)
            (run / "summary.json").write_text(json.dumps(summary))
    return run


def test_a_run_of_an_earlier_version_predicts_with_a_note(run, images, tmp_path):
    (before,) = library.predict(run, images, tmp_path / "before")
    heard = Heard()
    (after,) = library.predict(older(run), images, tmp_path / "after", quality=False, reporter=heard)
    assert after.read_bytes() == before.read_bytes()
    (note,) = heard.said
    assert note.startswith("Note: best.pt or model.json is from an earlier version")


RECORDS = {
    "patch_size is missing": {"patch_size": None},
    "modalities is missing": {"modalities": None},
    "patch_size is [0, 16, 16], not [16, 16, 16]": {"patch_size": [0, 16, 16]},
    "patch_size is [8192, 8192, 8192], not [16, 16, 16]": {"patch_size": [8192] * 3},
    "patch_size is [16, 16], not [16, 16, 16]": {"patch_size": [16, 16]},
    "patch_size: tuple should have at most 3 items": {"patch_size": [16] * 4},
    "patch_size.1: input should be a valid integer": {"patch_size": [16, "x", 16]},
    "4 class_values for 3 classes": {"classes": ["background", "a", "b"]},
    "label_map has indices beyond the 4 classes": {"label_map": {"0": 9}},
    "class_values.3: input should be less than 2147483648": {"class_values": [0, 1, 2, 10**10]},
}


@pytest.mark.parametrize(("said", "changes"), RECORDS.items())
def test_a_model_json_that_describes_no_model_is_told_in_a_sentence(run, images, tmp_path, said, changes):
    path = older(run) / "model.json"
    record = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in record.items() if value is not None}))
    problem = refused(run, images, tmp_path)
    assert problem.where == str(path)
    assert said in problem.what


FEWER = {"classes": ["background", "a", "b"], "class_values": [0, 1, 2], "label_map": {"0": 0}}


@pytest.mark.parametrize(
    ("changes", "shapes"),
    [({"modalities": ["t1", "t2"]}, "4, 3, 3, 3), not (4, 2, 3, 3, 3)"), (FEWER, "4, 3, 3, 3), not (3, ")],
)
def test_weights_that_do_not_fit_are_told_before_networks_are_made(run, images, tmp_path, monkeypatch, changes, shapes):
    edit(older(run) / "model.json", **changes)
    monkeypatch.setattr("semiseg.pipeline.model._assemble", None)  # makes networks with values
    problem = refused(run, images, tmp_path)
    assert problem.where == str(run / "checkpoints/best.pt")
    assert problem.what.startswith("it does not match the model in model.json and recipe.yaml: the shape of ")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ([1], "contains a list"),
        ({"step": 3}, "contains no strategy weights"),
        ({"strategy": {}}, "it lacks networks.student_a"),
        ({"strategy": {"x": torch.zeros(1)}}, "it has unknown entries x"),
    ],
)
def test_a_checkpoint_of_something_else_is_told_in_a_sentence(run, images, tmp_path, state, said):
    path = older(run) / "checkpoints/best.pt"
    (run / "summary.json").unlink()
    torch.save(state, path)
    checksum_file(path).write_text(file_digest(path))
    done = semiseg("predict", run, "-i", images, "-o", tmp_path / "out", check=False)
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert str(path) in done.stderr


def resumed(run, recipe=SMALL):
    heard = Heard()
    result = library.run(recipe, run, resume=True, reporter=heard)
    return result, [text for text in heard.said if "Steps waited" not in text]


@pytest.mark.parametrize("left", [0, 1, 40, 400, 900])
def test_a_recipe_that_was_cut_off_is_written_anew_where_the_run_began_with_the_one_given(run, left):
    path = run / "recipe.yaml"
    whole = path.read_text()
    assert len(whole) > 900
    path.write_text(whole[:left])
    with pytest.raises(RunError) as caught:
        library.run({**SMALL, "seed": 9}, run, resume=True)
    (problem,) = caught.value.problems
    assert "recipe.yaml" in str(problem)
    assert "the file is damaged" in problem.what
    assert "with the recipe that the run began with" in problem.fix
    _, said = resumed(run)
    assert said[0] == f"Note: {path} was damaged or edited and has been restored to the recipe that the run began with."
    assert path.read_text() == whole


def test_a_recipe_of_an_earlier_version_that_was_cut_off_is_one_problem(run, images, tmp_path):
    path = older(run) / "recipe.yaml"
    path.write_text(path.read_text().split("training:")[0])
    with pytest.raises(RunError) as caught:
        library.run(SMALL, run, resume=True)
    (problem,) = caught.value.problems
    assert problem.where == str(path)
    assert problem.what == "the file is damaged: it lacks training, inference, evaluation"
    assert refused(run, images, tmp_path) == problem


def test_a_report_that_was_lost_is_made_again(run):
    scores = (run / "scores.csv").read_bytes()
    for name in ("report.html", "preview.png"):
        (run / name).unlink()
    resumed(run)
    assert (run / "report.html").read_text().startswith("<!doctype html>")
    assert (run / "preview.png").stat().st_size
    assert (run / "scores.csv").read_bytes() == scores


def test_scores_that_were_lost_are_made_again(run):
    scores = (run / "scores.csv").read_bytes()
    (run / "scores.csv").unlink()
    resumed(run)
    assert (run / "scores.csv").read_bytes() == scores


def unfinished(run):
    """As a kill leaves it between prediction and scores."""
    for name in ("summary.json", "scores.csv", "report.html"):
        (run / name).unlink()
    return run


def test_a_damaged_best_is_replaced_by_the_copy_beside_it(run):
    scores = (run / "scores.csv").read_bytes()
    path = unfinished(run) / "checkpoints/best.pt"
    good = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(len(good) // 2)
        file.write(b"damage")
    _, said = resumed(run)
    assert any("best.pt is damaged" in text and "is restored from" in text for text in said)
    assert path.read_bytes() == good
    assert (run / "scores.csv").read_bytes() == scores


def test_damaged_predictions_are_made_again_and_said(run):
    scores = (run / "scores.csv").read_bytes()
    (path,) = (unfinished(run) / "predictions/last").glob("*.nii.gz")
    good = path.read_bytes()
    for damage in (good[:100], b"", good[:60] + b"xx" + good[62:], gzip.compress(gzip.decompress(good)[:-9])):
        path.write_bytes(damage)
        _, said = resumed(run)
        assert [text for text in said if "damaged predictions" in text] == [
            f"Note: damaged predictions in {run}/predictions/last are redone: {path.name[:-7]}."
        ]
        assert path.read_bytes() == good
        assert (run / "scores.csv").read_bytes() == scores
        unfinished(run)


def test_a_damaged_log_costs_no_results(run):
    log = unfinished(run) / "log.jsonl"
    data = log.read_bytes()
    log.write_bytes(b"\xff{" + data[2:])
    result, said = resumed(run)
    assert result.scores
    assert f"Note: {log} is damaged; skipped: line 1." in said
    assert (run / "report.html").exists()


def test_a_run_goes_on_with_the_model_that_it_has(run):
    path = unfinished(run) / "model.json"
    whole = json.loads(path.read_text())
    for text in ("", "{", "[]", "{}"):
        path.write_text(text)
        _, said = resumed(run)
        assert f"Note: {path} was missing or damaged and has been rewritten." in said
        assert json.loads(path.read_text()) == whole
        unfinished(run)
    edit(path, class_values=[0, 2, 1, 4])
    with pytest.raises(RunError) as caught:
        resumed(run)
    (problem,) = caught.value.problems
    assert problem.where == str(path)
    assert problem.what == "it does not match this run: class_values was [0, 2, 1, 4], is [0, 1, 2, 4]"


@pytest.mark.parametrize("text", ["{}", '{"labeled": 3}', "[]", '{"labeled": [1]}'])
def test_a_split_that_does_not_fit_is_told_in_a_sentence(run, text):
    path = unfinished(run) / "split.json"
    path.write_text(text)
    with pytest.raises(RunError) as caught:
        resumed(run)
    (problem,) = caught.value.problems
    assert problem.where == str(path)
    assert problem.what.startswith("is not what semiseg wrote: ")


@pytest.mark.parametrize("text", ["", "[]", "3", '{"packages": 3}'])
def test_an_environment_that_is_damaged_costs_nobody_the_run(run, text):
    (unfinished(run) / "environment.json").write_text(text)
    assert resumed(run)[0].scores


SUMMARIES = {
    "{}": "name is missing, cases is missing, weights is missing, and 1 more",
    '{"name": "a", "cases": 3, "weights": {}, "scores": {}}': "cases: input should be",
    "[1]": "not a JSON object",
}


@pytest.mark.parametrize(("text", "said"), SUMMARIES.items())
def test_a_summary_that_does_not_fit_is_told_in_a_sentence(run, text, said):
    (run / "summary.json").write_text(text)
    with pytest.raises(RunError) as caught:
        resumed(run)
    (problem,) = caught.value.problems
    assert problem.where == str(run / "summary.json")
    assert said in problem.what
    (run / "summary.json").unlink()
    assert resumed(run)[0].scores


def test_a_drawn_run_belongs_together(images, tmp_path):
    heard, drawn = Heard(), drawn_run(tmp_path / "drawn", SMALL)
    library.predict(drawn, images, tmp_path / "a", quality=False, reporter=heard)
    tied(drawn, precision="32")
    library.predict(drawn, images, tmp_path / "b", quality=False, reporter=heard)
    assert heard.said == []


def go_on(run):
    heard = Heard()
    library.run(SMALL, run, resume=True, reporter=heard)
    return heard.said


def test_damaged_weights_of_a_finished_run_are_taken_from_a_copy(run, images, tmp_path):
    (before,) = library.predict(run, images, tmp_path / "before")
    best = run / "checkpoints/best.pt"
    assert [path.name for path in sorted(best.parent.glob("best-at-*.pt"))]
    best.write_bytes(best.read_bytes()[:-9])
    (note,) = [line for line in go_on(run) if "best.pt" in line]
    assert note.startswith(f"Note: {best} was missing or damaged and has been restored from best-at-")
    (after,) = library.predict(run, images, tmp_path / "after")
    assert after.read_bytes() == before.read_bytes()


def test_lost_weights_of_a_finished_run_are_told_and_not_trained_again(run, images, tmp_path):
    shutil.rmtree(run / "checkpoints")
    told = [line for line in go_on(run) if "is missing or damaged: restore it" in line]
    assert len(told) == 2
    assert "has ended and is not trained again" in refused(run, images, tmp_path).fix


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", None])
def test_a_damaged_table_of_scores_is_made_again(run, content):
    table = run / "scores.csv"
    whole = table.read_bytes()
    table.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert f"Note: {table} has changed since the run ended; it is recreated from the predictions." in go_on(run)
    assert table.read_bytes() == whole


def test_a_finished_run_whose_model_was_edited_does_not_go_on(run):
    record = json.loads((run / "model.json").read_text())
    edit(run / "model.json", class_values=record["class_values"][::-1])
    with pytest.raises(RunError, match="it does not match this run: class_values was"):
        library.run(SMALL, run, resume=True)


def test_scores_are_not_made_again_of_other_cases_than_the_run_s(run):
    split = json.loads((run / "split.json").read_text())
    split["test"][0], split["labeled"][0] = split["labeled"][0], split["test"][0]
    edit(run / "split.json", **split)
    (run / "scores.csv").write_bytes(b"")
    with pytest.raises(RunError, match="was labeled, would be test"):
        library.run(SMALL, run, resume=True)
    assert (run / "scores.csv").read_bytes() == b""
