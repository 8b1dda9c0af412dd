"""Expected Dice without labels: calibrated by a run, given by ``semiseg predict``, tested on test cases."""

import csv
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from drawn_run import copied_to, drawn_run
from helpers_processes import run as semiseg
from helpers_reporter import Heard
from small_run import SMALL

import semiseg as library
from semiseg.errors import RunError
from semiseg.pipeline.plan import make_plan
from semiseg.prediction import calibrated
from semiseg.quality.expected import COLUMNS, UNLIKE
from semiseg.runs.folder import RunFolder

ENOUGH = {
    **SMALL,
    "dataset": {"name": "phantom", "cases": 16, "size": [32, 32, 32]},
    "split": {"test": 2, "validation": 10, "labeled": 2, "total": 4},
    "augmentation": {"name": "none"},
    "training": {**SMALL["training"], "epochs": 1, "examples_per_epoch": 2},
    "evaluation": {"metrics": [{"name": "dice"}]},
}
CLASSES = ("necrosis", "edema", "enhancing")


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Two runs with drawn weights, and their test images."""
    home = tmp_path_factory.mktemp("drawn")
    runs = [drawn_run(home / "one", ENOUGH), drawn_run(home / "two", ENOUGH, "backbone.channels=[4,6]")]
    return runs, copied_to(home / "new", make_plan(library.load_recipe(ENOUGH)).split.test)


def test_a_run_calibrates_itself_and_shows_expected_against_true_dice(tmp_path):
    library.run(ENOUGH, tmp_path / "run")
    folder, plan = RunFolder(tmp_path / "run"), make_plan(library.load_recipe(ENOUGH))
    kept = json.loads(folder.quality.read_text())["calibrations"]
    assert {one["key"]["checkpoint"] for one in kept} == {"last", "best"}
    assert {case["case"] for case in kept[0]["cases"]} == {case.id for case in plan.split.validation}
    assert len(kept[0]["known"]["cases"]) == 10 + 4
    rows = table(folder.expected)
    scores = {
        (row["checkpoint"], row["case"], row["class"]): row["value"]
        for row in table(folder.scores)
        if row["metric"] == "dice"
    }
    assert {row["case"] for row in rows} == {case.id for case in plan.split.test}
    for row in rows:
        assert (row["dice"] or "nan") == scores[row["checkpoint"], row["case"], row["class"]]
        assert (row["expected_dice"] == "") == bool(row["note"]) or "extrapolated" in row["note"]
    assert any(row["expected_dice"] for row in rows)
    assert "Expected Dice" in folder.report.read_text()
    # The same images, predicted as new ones, with the calibration of the run.
    new = copied_to(tmp_path / "new", plan.split.test)
    found = library.predict(folder.path, new, tmp_path / "out", checkpoint="last").quality
    own = {(row["case"], row["class"]): row["expected_dice"] for row in rows if row["checkpoint"] == "last"}
    for one in found:
        if not one.note.startswith(UNLIKE):
            given = own[one.case, one.structure]
            assert one.expected_dice == (pytest.approx(float(given)) if given else None)
    # A run that was stopped before it was scored measures what is missing, and nothing else.
    before = {path: path.read_bytes() for path in (folder.expected, folder.quality)}
    lost, *others = sorted((folder.agreement / "last").rglob("*.json"))
    times = {path: path.stat().st_mtime_ns for path in others}
    lost.unlink()
    folder.summary.unlink()
    folder.expected.unlink()
    library.run(ENOUGH, folder.path, resume=True)
    assert {path: path.read_bytes() for path in before} == before
    assert {path: path.stat().st_mtime_ns for path in others} == times


def test_predict_calibrates_earlier_runs_once_and_resumes(drawn, tmp_path, monkeypatch):
    (run, _), new = drawn
    heard = Heard()
    paths = library.predict(run, new, tmp_path / "out", reporter=heard)
    rows = table(tmp_path / "out" / "quality.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [(one.case, one.structure) for one in paths.quality] == [(row["case"], row["class"]) for row in rows]
    assert {row["class"] for row in rows} == {*CLASSES, *make_plan(library.load_recipe(ENOUGH)).regions}
    for one in paths.quality:
        if one.expected_dice is not None:
            assert 0 <= one.low <= one.expected_dice <= one.high <= 1
    assert any("of 2 cases, look at these first" in text for text in heard.said)
    monkeypatch.setattr(calibrated, "new_calibration", None)  # it is read from the run folder from now on
    before = (tmp_path / "out" / "quality.csv").read_text()
    # Killed while the last line was written.
    (tmp_path / "out" / "quality.csv").write_text(before[: before.rindex(",")][:-3])
    times = {path: path.stat().st_mtime_ns for path in paths}
    again = library.predict(run, new, tmp_path / "out", reporter=heard)
    assert again.quality == paths.quality
    assert (tmp_path / "out" / "quality.csv").read_text() == before
    assert {path: path.stat().st_mtime_ns for path in paths} == times
    assert "Note: 1 prediction lacks an expected Dice: predicted again to measure it (not with --no-quality)." in (
        heard.said
    )
    case = next(new.glob("*_t1.nii.gz")).name.removesuffix("_t1.nii.gz")
    images = [new / f"{case}_{modality}.nii.gz" for modality in ("t1", "t1ce", "t2", "flair")]
    (single,) = library.predict(run, images, tmp_path / "one.nii.gz")
    assert single.read_bytes() in [path.read_bytes() for path in paths]
    assert len(table(tmp_path / "one_quality.csv")) == len(rows) / 2


def test_without_it_predictions_are_the_same_and_no_table_is_written(drawn, tmp_path):
    (run, _), new = drawn
    plain = library.predict(run, new, tmp_path / "plain", quality=False)
    assert plain.quality == ()
    assert not (tmp_path / "plain" / "quality.csv").exists()
    measured = library.predict(run, new, tmp_path / "measured")
    assert [path.read_bytes() for path in plain] == [path.read_bytes() for path in measured]
    (tmp_path / "plain" / "quality.csv").write_text("name,grade\nann,1\n")
    with pytest.raises(RunError, match="not a table of expected Dice"):
        library.predict(run, new, tmp_path / "plain")
    assert (tmp_path / "plain" / "quality.csv").read_text() == "name,grade\nann,1\n"


def test_several_runs_have_a_calibration_of_their_own_in_any_order(drawn, tmp_path, monkeypatch):
    runs, new = drawn
    both = library.predict(runs, new, tmp_path / "both").quality
    alone = library.predict(runs[0], new, tmp_path / "alone").quality
    assert [one.agreement for one in both] != [one.agreement for one in alone]
    monkeypatch.setattr(calibrated, "new_calibration", None)
    turned = library.predict(runs[::-1], new, tmp_path / "turned").quality
    assert [one.likeness for one in turned] == [one.likeness for one in both]
    for one, other in zip(turned, both, strict=True):
        assert one.agreement == (None if other.agreement is None else pytest.approx(other.agreement))


def test_an_image_unlike_the_training_images_is_flagged_and_comes_first(drawn, tmp_path):
    (run, _), new = drawn
    strange = shutil.copytree(new, tmp_path / "strange")
    last = sorted({path.name.rpartition("_")[0] for path in strange.glob("*.nii.gz")})[-1]
    for path in strange.glob(f"{last}_*"):
        image = nib.load(path)
        stripes = np.indices(image.shape)[0] % 2 * 1000.0
        nib.save(nib.Nifti1Image(stripes.astype(np.float32), image.affine), path)
    heard = Heard()
    found = library.predict(run, strange, tmp_path / "out", reporter=heard).quality
    flagged = {one.case for one in found if one.note.startswith(UNLIKE)}
    assert flagged == {last}
    assert all(one.expected_dice is None for one in found if one.case == last)
    assert f"  {last}: {UNLIKE}" in heard.said


def test_too_few_validation_patients_or_absent_data_are_told_once(tmp_path):
    few = drawn_run(tmp_path / "few", SMALL)
    new = copied_to(tmp_path / "new", make_plan(library.load_recipe(SMALL)).split.test)
    heard = Heard()
    paths = library.predict(few, new, tmp_path / "out", reporter=heard)
    assert paths.quality == ()
    assert not (tmp_path / "out" / "quality.csv").exists()
    said = "Note: no expected Dice: the run has 1 validation patient; a 90 % interval needs at least 10."
    assert heard.said.count(said) == 1
    absent = drawn_run(
        tmp_path / "absent", {**ENOUGH, "dataset": {**ENOUGH["dataset"], "root": str(tmp_path / "data")}}
    )
    for case in make_plan(library.load_recipe(RunFolder(absent).recipe)).split.validation[:1]:
        case.label.write_bytes(b"")
    heard = Heard()
    assert len(library.predict(absent, new, tmp_path / "other", reporter=heard)) == 1
    (said,) = [text for text in heard.said if text.startswith("Note: no expected Dice: ")]
    assert "\n" not in said
    RunFolder(absent).quality.write_text("{}")
    library.predict(absent, new, tmp_path / "third", reporter=heard)
    assert f"no expected Dice: {RunFolder(absent).quality}: is not what semiseg wrote" in heard.said[-1]
    assert heard.said[-1].endswith("Delete it: the calibration is then made again.")


def test_the_command_prints_the_cases_to_look_at(drawn, tmp_path):
    (run, _), new = drawn
    done = semiseg("predict", run, "-i", new, "-o", tmp_path / "out")
    assert "Expected Dice with its 90 % interval" in done.stderr
    assert (tmp_path / "out" / "quality.csv").exists()
    labels = tmp_path / "labels"
    labels.mkdir()
    for case in make_plan(library.load_recipe(ENOUGH)).split.test:
        shutil.copy(case.label, labels)
    evaluated = [tmp_path / "out", labels, "--metric", "dice", "--labels"]
    compared = semiseg("evaluate", *evaluated, "1=necrosis,2=edema,4=enhancing,3=enhancing").stdout
    assert "Expected against true Dice" in compared
    assert (
        "has the expected Dice of necrosis, edema, enhancing"
        in semiseg("evaluate", *evaluated, "1=a,other=background").stdout
    )
    semiseg("predict", run, "-i", new, "-o", tmp_path / "plain", "--no-quality")
    assert not (tmp_path / "plain" / "quality.csv").exists()


@pytest.mark.parametrize("change", ["training.outputs=regions", "training.patch_size=[16,16]"])
def test_regions_as_outputs_and_networks_of_slices(tmp_path, change):
    run = drawn_run(tmp_path / "run", ENOUGH, change)
    plan = make_plan(library.load_recipe(ENOUGH, [change]))
    found = library.predict(run, copied_to(tmp_path / "new", plan.split.test[:1]), tmp_path / "out").quality
    names = {*plan.task.regions} or {*CLASSES, *plan.regions}
    assert {one.structure for one in found} == names
    assert all(one.likeness is not None for one in found)
    (kept,) = json.loads(RunFolder(run).quality.read_text())["calibrations"]
    assert all({*case["dice"]} == names for case in kept["cases"])
