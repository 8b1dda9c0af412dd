"""Folders of predictions against folders of references."""

import gzip
import json
import math

import nibabel
import numpy as np
import pytest

import semiseg
from semiseg.errors import ComponentError, DataError
from semiseg.metrics.overlap import Dice
from semiseg.progress import Meter, Reporter
from semiseg.scoring.evaluate import evaluate
from semiseg.scoring.table import read_scores

SHAPE = (12, 10, 8)
AFFINE = np.diag([-1.0, -1.0, 2.5, 1.0])
NAMES = {1: "necrosis", 2: "edema", 3: "enhancing"}


def write(path, array, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def truth(enhancing=4):
    array = np.zeros(SHAPE, dtype=np.uint8)
    array[2:9, 2:8, 1:7] = 2
    array[4:7, 3:6, 2:5] = enhancing
    array[5, 4, 3] = 1
    return array


@pytest.fixture
def folders(tmp_path):
    """Two BraTS cases with truth in folders of their own, and flat predictions as another tool writes them."""
    for case in ("BraTS_1", "BraTS_2"):
        write(tmp_path / "truth" / case / f"{case}_seg.nii.gz", truth())
        write(tmp_path / "truth" / case / f"{case}_flair.nii.gz", np.ones(SHAPE, dtype=np.int16))
    write(tmp_path / "predicted" / "BraTS_1.nii.gz", truth(enhancing=3))
    write(tmp_path / "predicted" / "BraTS_2.nii.gz", np.roll(truth(enhancing=3), 1, axis=2))
    return tmp_path / "predicted", tmp_path / "truth"


def values(evaluation):
    return {(s.case, s.class_name, s.metric): s.value for s in evaluation.scores}


def test_values_of_one_name_agree(folders):
    found = values(evaluate(*folders, labels=NAMES | {4: "enhancing"}))
    assert all(found["BraTS_1", name, "dice"] == 1 for name in NAMES.values())
    assert all(found["BraTS_1", name, "hd95"] == 0 for name in NAMES.values())
    assert found["BraTS_2", "necrosis", "dice"] == 0
    assert found["BraTS_2", "necrosis", "hd95"] == 2.5  # one voxel along z, in mm
    assert found["BraTS_2", "edema", "hd95"] == 2.5


def test_results_are_written_and_read_back(folders, tmp_path):
    evaluation = evaluate(*folders, labels=NAMES | {4: "enhancing"}, output=tmp_path / "out")
    assert read_scores(tmp_path / "out" / "scores.csv") == list(evaluation.scores)
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == evaluation.summary
    assert evaluation.summary["checkpoints"][""]["dice"]["classes"]["necrosis"]["mean"] == 0.5


def test_workers_do_not_change_the_result(folders):
    first, second = (evaluate(*folders, labels=NAMES | {4: "enhancing"}, workers=n) for n in (1, 4))
    assert first == second


def test_the_same_from_the_package(folders):
    assert semiseg.evaluate(*map(str, folders), labels=NAMES | {4: "enhancing"}).scores


def test_without_labels_the_values_in_the_references_are_the_classes(folders):
    predictions, references = folders
    write(predictions / "BraTS_1.nii.gz", truth())
    write(predictions / "BraTS_2.nii.gz", truth())
    only_edema = truth()
    only_edema[only_edema != 2] = 0
    write(references / "BraTS_1" / "BraTS_1_seg.nii.gz", only_edema)
    scores = evaluate(predictions, references).scores
    assert [s.class_name for s in scores if s.metric == "dice"] == ["1", "2", "4"] * 2
    assert [s.status for s in scores if s.case == "BraTS_1" and s.metric == "dice"] == ["spurious", "ok", "spurious"]


def test_without_labels_a_value_in_no_reference_is_an_error(folders):
    with pytest.raises(DataError, match=r"BraTS_1.nii.gz: label 3 has no class; known: 0=background, 1=1, 2=2, 4=4"):
        evaluate(*folders)


def test_references_of_background_only(folders):
    predictions, references = folders
    for case in ("BraTS_1", "BraTS_2"):
        write(references / case / f"{case}_seg.nii.gz", np.zeros(SHAPE, dtype=np.uint8))
    with pytest.raises(DataError, match="only background"):
        evaluate(predictions, references)
    found = evaluate(predictions, references, labels=NAMES)
    assert {score.status for score in found.scores} == {"spurious"}


def test_one_structure_of_many(folders):
    found = evaluate(*folders, labels={1: "necrosis", "other": "background"})
    assert {score.class_name for score in found.scores} == {"necrosis"}
    assert values(found) == {
        key: value
        for key, value in values(evaluate(*folders, labels=NAMES | {4: "enhancing"})).items()
        if "necrosis" in key
    }


def test_a_pair_of_files_whatever_their_names(folders, tmp_path):
    predicted, reference = folders[0] / "BraTS_2.nii.gz", folders[1] / "BraTS_2" / "BraTS_2_seg.nii.gz"
    expected = {k: v for k, v in values(evaluate(*folders, labels=NAMES | {4: "enhancing"})).items() if "BraTS_2" in k}
    found = evaluate(predicted, reference, labels=NAMES | {4: "enhancing"})
    assert values(found) == expected
    assert found.unmatched_predictions == found.unmatched_references == ()
    predicted = predicted.rename(tmp_path / "mine.nii.gz")
    assert values(evaluate(predicted, reference, labels=NAMES | {4: "enhancing"})) == expected
    with pytest.raises(DataError, match=r"mine\.nii\.gz: is a file, but the other is not\n.*two files, or two folders"):
        evaluate(predicted, folders[1])


def test_floats_that_are_whole_numbers_are_labels(folders):
    predictions, references = folders
    write(predictions / "BraTS_1.nii.gz", truth(3).astype(np.float64))
    found = values(evaluate(predictions, references, labels=NAMES | {4: "enhancing"}))
    assert found["BraTS_1", "edema", "dice"] == 1


def test_labels_that_a_header_of_integers_scales_are_scored(folders):
    predictions, references = folders
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    scaled = nibabel.Nifti1Image(truth(3).astype(np.float64), AFFINE, header)
    nibabel.save(scaled, predictions / "BraTS_1.nii.gz")
    assert (np.asanyarray(nibabel.load(predictions / "BraTS_1.nii.gz").dataobj) % 1).any()
    found = values(evaluate(predictions, references, labels=NAMES | {4: "enhancing"}))
    assert {found["BraTS_1", name, "dice"] for name in NAMES.values()} == {1}


def test_axes_of_length_1_say_nothing(folders):
    predictions, references = folders
    write(predictions / "BraTS_1.nii.gz", truth(3)[..., None])
    write(references / "BraTS_1" / "BraTS_1_seg.nii.gz", truth()[..., None, None])
    found = values(evaluate(predictions, references, labels=NAMES | {4: "enhancing"}))
    assert {found["BraTS_1", name, "dice"] for name in NAMES.values()} == {1}


def test_without_labels_a_negative_value_is_told_with_its_file(folders):
    path = next(folders[1].rglob("*_seg.nii.gz"))
    write(path, np.where(truth() == 4, np.int16(-1), truth()))
    with pytest.raises(DataError) as caught:
        evaluate(*folders)
    (problem,) = caught.value.problems
    assert (problem.where, problem.what) == (str(path), "it has values below 0: -1")


def test_a_file_that_is_not_there_is_what_is_told(folders, tmp_path):
    path = next(folders[1].rglob("*_seg.nii.gz"))
    with pytest.raises(DataError, match=r"none\.nii\.gz: file not found"):
        evaluate(tmp_path / "none.nii.gz", path)


def test_files_without_a_counterpart_are_listed(folders, tmp_path):
    predictions, references = folders
    alone = write(predictions / "BraTS_9.nii.gz", truth(3))
    (predictions / "BraTS_2.nii.gz").unlink()
    evaluation = evaluate(predictions, references, labels=NAMES | {4: "enhancing"})
    assert evaluation.unmatched_predictions == (alone,)
    assert evaluation.unmatched_references == (references / "BraTS_2" / "BraTS_2_seg.nii.gz",)
    assert evaluation.summary["unmatched_predictions"] == [str(alone)]
    assert {score.case for score in evaluation.scores} == {"BraTS_1"}


def test_no_case_in_both_folders(folders, tmp_path):
    write(tmp_path / "other" / "case_1.nii.gz", truth())
    with pytest.raises(
        DataError, match=r"No case is in both folders: .*other contains case_1; .* contains BraTS_1, BraTS_2"
    ):
        evaluate(tmp_path / "other", folders[1])


def test_another_affine_is_an_error_that_names_both(folders):
    predictions, references = folders
    write(predictions / "BraTS_2.nii.gz", truth(3), np.diag([1.0, 1.0, 2.5, 1.0]))
    with pytest.raises(DataError) as caught:
        evaluate(predictions, references, labels=NAMES | {4: "enhancing"})
    text = str(caught.value)
    assert str(predictions / "BraTS_2.nii.gz") in text
    assert str(references / "BraTS_2" / "BraTS_2_seg.nii.gz") in text
    # The farthest corner lies 2 x 11.5 and 2 x 9.5 voxels from where it was.
    assert "affines that differ by 29.83 voxels at a corner of the volume" in text


def test_a_label_of_four_dimensions(folders):
    predictions, references = folders
    write(predictions / "BraTS_2.nii.gz", np.stack([truth(3)] * 2, axis=-1))
    with pytest.raises(
        DataError, match=r"BraTS_2.nii.gz: a label must have three dimensions, not shape \(12, 10, 8, 2"
    ):
        evaluate(predictions, references, labels=NAMES | {4: "enhancing"})


def test_an_affine_within_a_tenth_of_a_voxel_is_the_same(folders):
    predictions, references = folders
    nearly = AFFINE.copy()
    nearly[2, 3] += 0.2  # of 2.5 mm
    write(predictions / "BraTS_1.nii.gz", truth(3), nearly)
    assert evaluate(predictions, references, labels=NAMES | {4: "enhancing"}).scores
    nearly[2, 3] += 0.1
    write(predictions / "BraTS_1.nii.gz", truth(3), nearly)
    with pytest.raises(DataError, match="different grids"):
        evaluate(predictions, references, labels=NAMES | {4: "enhancing"})


def test_problems_of_all_cases_come_at_once(folders, tmp_path):
    predictions, references = folders
    write(predictions / "BraTS_1.nii.gz", np.full(SHAPE, 7, dtype=np.uint8))
    write(references / "BraTS_1" / "BraTS_1_seg.nii.gz", np.full(SHAPE, 0.5))
    write(predictions / "BraTS_2.nii.gz", truth()[1:])
    for folder in folders:
        whole = write(folder / "BraTS_3.nii.gz" if folder == predictions else folder / "BraTS_3" / "x.nii.gz", truth())
        whole.write_bytes(gzip.compress(gzip.decompress(whole.read_bytes()))[:-20])
    with pytest.raises(DataError) as caught:
        evaluate(predictions, references, labels=NAMES | {4: "enhancing"}, output=tmp_path / "out")
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == 5
    for text in ("label 7 has no class", "not whole numbers", "(12, 10, 8) vs. (11, 10, 8)"):
        assert sum(text in line for line in told) == 1
    assert sum("BraTS_3" in line for line in told) == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("labels", [None, NAMES | {4: "enhancing"}])
def test_values_grids_and_damage_come_at_once_with_labels_and_without(folders, labels):
    predictions, references = folders
    write(references / "BraTS_1" / "BraTS_1_seg.nii.gz", truth() + 0.25)
    write(predictions / "BraTS_1.nii.gz", truth()[:-1] + 0.5)
    (predictions / "BraTS_2.nii.gz").write_text("no image")
    with pytest.raises(DataError) as caught:
        evaluate(predictions, references, labels=labels)
    assert [problem.where.rpartition("/")[2] for problem in caught.value.problems] == [
        "BraTS_1_seg.nii.gz",
        "BraTS_1.nii.gz",
        "case BraTS_1",
        "BraTS_2.nii.gz",
    ]
    assert "different grids: shape" in caught.value.problems[2].what


def test_grids_are_compared_where_no_class_is_found(folders):
    predictions, references = folders
    for case in ("BraTS_1", "BraTS_2"):
        write(references / case / f"{case}_seg.nii.gz", np.zeros(SHAPE, np.uint8))
    write(predictions / "BraTS_2.nii.gz", truth()[:-1])
    with pytest.raises(DataError) as caught:
        evaluate(predictions, references)
    assert "different grids" in caught.value.problems[0].what
    assert "only background" in caught.value.problems[1].what


def test_metrics_by_name_class_and_object(folders):
    metrics = {"dice": "dice", "by_class": Dice, "by_object": Dice()}
    found = values(evaluate(*folders, labels=NAMES | {4: "enhancing"}, metrics=metrics))
    assert found["BraTS_2", "edema", "dice"] == found["BraTS_2", "edema", "by_class"]
    assert found["BraTS_2", "edema", "dice"] == found["BraTS_2", "edema", "by_object"]
    with pytest.raises(ComponentError, match="Did you mean 'dice'"):
        evaluate(*folders, metrics=["dise"])


def test_a_metric_that_is_better_when_lower_ranks_its_cases_so(folders):
    class Error(Dice):
        higher_is_better = False

        def value(self, pair):
            return 1 - super().value(pair)

    found = evaluate(*folders, labels=NAMES | {4: "enhancing"}, metrics={"error": Error()})
    assert found.summary["checkpoints"][""]["error"]["worst"][0]["case"] == "BraTS_2"


def test_an_unknown_policy_is_told_before_anything_is_read(tmp_path):
    with pytest.raises(DataError, match="Unknown policy 'zero'"):
        evaluate(tmp_path, tmp_path, policy="zero")


def test_policy_reaches_the_summary(folders):
    predictions, references = folders
    write(predictions / "BraTS_1.nii.gz", np.zeros(SHAPE, dtype=np.uint8))
    means = {}
    for policy in ("image_diagonal", "exclude"):
        summary = evaluate(predictions, references, labels=NAMES | {4: "enhancing"}, policy=policy).summary
        means[policy] = summary["checkpoints"][""]["hd95"]["classes"]["edema"]["mean"]
    assert means["exclude"] == 2.5
    assert means["image_diagonal"] == pytest.approx((2.5 + math.hypot(12, 10, 20)) / 2)


def test_progress_is_told_case_by_case(folders):
    class Listener(Reporter, Meter):
        def __init__(self):
            self.told = []

        def work(self, title, total, done=0, unit=""):
            from contextlib import nullcontext

            self.told.append((title, total))
            return nullcontext(self)

        def advance(self, amount=1, info=None):
            self.told.append(amount)

    listener = Listener()
    evaluate(*folders, labels=NAMES | {4: "enhancing"}, reporter=listener)
    assert listener.told == [("scoring", 2), 1, 1]


@pytest.mark.real_data
def test_a_real_case_with_its_own_truth_and_with_a_miss(real_brats, tmp_path):
    image = nibabel.load(real_brats)
    array = np.asarray(image.dataobj)
    without = np.where(array == 4, 0, array)
    case = real_brats.name.removesuffix("_seg.nii.gz")
    write(tmp_path / "same" / f"{case}.nii.gz", array, image.affine)
    write(tmp_path / "less" / f"{case}.nii.gz", without, image.affine)
    labels = {1: "necrosis", 2: "edema", 4: "enhancing"}
    perfect = evaluate(tmp_path / "same", real_brats.parent.parent, labels=labels)
    assert {s.value for s in perfect.scores if s.metric == "dice"} == {1.0}
    assert {s.value for s in perfect.scores if s.metric == "hd95"} == {0.0}
    missed = values(evaluate(tmp_path / "less", real_brats.parent.parent, labels=labels))
    assert (missed[case, "enhancing", "dice"], missed[case, "enhancing", "hd95"]) == (0.0, math.inf)
    assert (missed[case, "edema", "dice"], missed[case, "edema", "hd95"]) == (1.0, 0.0)


@pytest.fixture
def real_brats():
    import os
    from pathlib import Path

    folder = os.environ.get("SEMISEG_REAL_DATA")
    if not folder:
        pytest.skip("SEMISEG_REAL_DATA is not set")
    return min(Path(folder).glob("brats2018/*/*_seg.nii.gz"))


def test_regions_are_scored_as_the_union_of_their_classes(folders):
    regions = {"tumor core": ["necrosis", "enhancing"], "whole tumor": ["necrosis", "edema", "enhancing"]}
    found = evaluate(*folders, labels={**NAMES, 4: "enhancing"}, regions=regions, metrics=["dice"])
    rows = {(s.case, s.class_name): s for s in found.scores}
    core, whole = rows["BraTS_2", "tumor core"], rows["BraTS_2", "whole tumor"]
    assert (core.kind, whole.kind, rows["BraTS_2", "edema"].kind) == ("region", "region", "class")
    assert core.n_reference == 3 * 3 * 3
    assert core.value == pytest.approx(2 * 3 * 3 * 2 / (2 * 27))
    assert whole.n_reference == 7 * 6 * 6
    assert set(found.summary["checkpoints"][""]["dice"]["regions"]) == set(regions)
    assert found.summary["checkpoints"][""]["dice"]["foreground"]["n_classes"] == 3


def test_all_that_is_wrong_with_regions_is_told_at_once(folders):
    regions = {"core": ["necrosis", "cyst"], "edema": ["edema"], "nothing": []}
    with pytest.raises(DataError) as caught:
        evaluate(*folders, labels={**NAMES, 4: "enhancing"}, regions=regions)
    told = str(caught.value)
    assert "region core: there is no class cyst" in told
    assert "region edema: has the name of a class" in told
    assert "region nothing: has no classes" in told


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        (["nsd", "nsd:tolerance=2"], ["nsd", "nsd tolerance=2.0"]),
        (["hd95:kind=pooled", "hd95"], ["hd95 kind=pooled", "hd95"]),
        ({"mine": "dice"}, ["mine"]),
        (None, ["dice", "hd95"]),
    ],
)
def test_metrics_and_their_options(folders, metrics, names):
    found = evaluate(*folders, labels={**NAMES, 4: "enhancing"}, metrics=metrics)
    assert list(dict.fromkeys(score.metric for score in found.scores)) == names
    assert len({score.definition for score in found.scores}) == len(names)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"metrics": ["dice", "dice"]}, "dice is requested twice"),
        ({"metrics": ["nsd:2"]}, "'nsd:2' is not NAME or NAME:OPTION=VALUE"),
        ({"metrics": ["nsd:tolerance=far"]}, "tolerance"),
        ({"metrics": ["assd"], "preset": "brats2023"}, "the preset has no assd"),
        ({"preset": "brats1999"}, "Unknown preset 'brats1999'"),
    ],
)
def test_what_cannot_be_measured_is_told(folders, asked, message):
    with pytest.raises((DataError, ComponentError), match=message):
        evaluate(*folders, labels={**NAMES, 4: "enhancing"}, **asked)


def test_a_preset_scores_missed_structures_as_its_tool_does(tmp_path):
    write(tmp_path / "truth" / "a.nii.gz", truth(enhancing=3))
    write(tmp_path / "predicted" / "a.nii.gz", np.where(truth(enhancing=3) == 3, 2, truth(enhancing=3)))
    folders = tmp_path / "predicted", tmp_path / "truth"
    for preset, dice, hd95 in (("monai", 0, math.nan), ("medpy", 0, math.nan), ("brats2023", 0, 374)):
        found = values(evaluate(*folders, labels=NAMES, preset=preset))
        np.testing.assert_equal(found["a", "enhancing", "dice"], dice)
        np.testing.assert_equal(found["a", "enhancing", "hd95"], hd95)
    assert ("a", "whole tumor", "hd95") in found
