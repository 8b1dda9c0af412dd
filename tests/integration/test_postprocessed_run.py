"""A run whose predictions are mirrored and keep only the largest component of classes, as validation cases decide."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from drawn_run import copied_to, drawn_run
from helpers_reporter import Heard
from scipy.ndimage import label
from small_run import SMALL

import semiseg as library
from semiseg.errors import RecipeError, RunError
from semiseg.inference.components import keep_largest
from semiseg.pipeline.plan import make_plan
from semiseg.runs.folder import RunFolder


def with_inference(**options):
    return {**SMALL, "inference": {"overlap": 0.0, **options}}


def components(path, value):
    return label(np.asarray(nib.load(path).dataobj) == value, np.ones((3, 3, 3)))[1]


def test_a_run_decides_on_validation_cases_and_predicts_and_scores_so(tmp_path):
    recipe, heard = with_inference(mirror=True, postprocess="auto"), Heard()
    library.run(recipe, tmp_path / "run", reporter=heard)
    found = json.loads((tmp_path / "run" / "postprocessing.json").read_text())
    plan = make_plan(library.load_recipe(recipe))
    assert {*found} == {"last", "best"}
    for one in found.values():
        assert one["mirrored_axes"] == [0, 1, 2]
        assert [*one["classes"]] == list(plan.info.classes[1:])
        cases = {case for decision in one["classes"].values() for case in decision["cases"]}
        assert cases <= {case.id for case in plan.split.validation}
    told = [text for text in heard.said if text.startswith("Postprocessing of predictions (last)")]
    assert len(told) == 1
    # The same images, predicted as new ones, with the decision that was recorded.
    new = copied_to(tmp_path / "new", plan.split.test)
    (again,) = library.predict(tmp_path / "run", new, tmp_path / "out", checkpoint="last")
    (own,) = (tmp_path / "run" / "predictions" / "last").glob("*.nii.gz")
    assert again.read_bytes() == own.read_bytes()


def test_largest_components_alone_are_left_if_all_classes_are_to_have_one(tmp_path):
    run = drawn_run(tmp_path / "run", SMALL)
    plan = make_plan(library.load_recipe(SMALL))
    new = copied_to(tmp_path / "new", plan.cases[:1])
    (plain,) = library.predict(run, new, tmp_path / "plain")
    (cleaned,) = library.predict(run, new, tmp_path / "cleaned", postprocess="largest_component")
    values = [value for value in plan.info.class_values[1:] if components(plain, value)]
    assert any(components(plain, value) > 1 for value in values)
    assert all(components(cleaned, value) == 1 for value in values)
    expected = np.asarray(nib.load(plain).dataobj).copy()
    keep_largest(expected, values)
    np.testing.assert_array_equal(np.asarray(nib.load(cleaned).dataobj), expected)


def test_a_run_without_a_decision_makes_it_where_its_data_are(tmp_path):
    run = drawn_run(tmp_path / "run", SMALL)
    new = copied_to(tmp_path / "new", make_plan(library.load_recipe(SMALL)).cases[:1])
    heard = Heard()
    library.predict(run, new, tmp_path / "out", postprocess="auto", reporter=heard)
    assert any(
        text.startswith("Postprocessing: only the largest component of a class (mean Dice of 1") for text in heard.said
    )
    found = json.loads(RunFolder(run).postprocessing.read_text())
    assert {*found} == {"best"}
    settings = json.loads((tmp_path / "out" / "predictions.json").read_text())["settings"]
    assert settings == {"largest_component": [n for n, d in found["best"]["classes"].items() if d["applied"]]}
    other = drawn_run(tmp_path / "other", SMALL, "seed=9")
    both = Heard()
    library.predict([run, other], new, tmp_path / "both", postprocess="auto", reporter=both)
    assert any("mean Dice of 2 validation cases" in text for text in both.said)


def test_without_its_data_a_run_needs_a_decision(tmp_path):
    data = tmp_path / "data"
    recipe = {**SMALL, "dataset": {**SMALL["dataset"], "root": str(data)}}
    run = drawn_run(tmp_path / "run", recipe)
    plan = make_plan(library.load_recipe(recipe))
    new = copied_to(tmp_path / "new", plan.cases[:1])
    none = drawn_run(tmp_path / "none", recipe, "split.validation=0")
    with pytest.raises(RunError, match="no validation cases to decide on postprocessing"):
        library.predict(none, new, tmp_path / "out", postprocess="auto")
    for case in plan.split.validation:
        case.label.write_bytes(b"")
    with pytest.raises(RunError, match="there is no decision on postprocessing for these weights") as caught:
        library.predict(run, new, tmp_path / "out", postprocess="auto")
    assert "--postprocess none" in str(caught.value)
    shutil.rmtree(data)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            ["inference.mirror=true", "augmentation.name=none"],
            r"inference\.mirror .*is true, but augmentation none flips",
        ),
        (
            ["inference.postprocess=auto", "split.validation=0"],
            "inference.postprocess .*is auto, but there are no validation",
        ),
    ],
)
def test_what_cannot_be_done_is_told_before_training(changes, said):
    with pytest.raises(RecipeError, match=said):
        make_plan(library.load_recipe(SMALL, changes))
