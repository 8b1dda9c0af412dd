"""Voxels that a reference marks as ignored: left out of every mask, counted, and reported."""

from dataclasses import replace

import numpy as np
import pytest

from semiseg.errors import DataError
from semiseg.metrics.distances import HD95
from semiseg.metrics.overlap import Dice
from semiseg.scoring.ignored import ignored_note
from semiseg.scoring.score_case import score_case
from semiseg.scoring.summary import summarize
from semiseg.scoring.table import COLUMNS, read_scores, write_scores
from semiseg.types import IGNORED, Geometry

CLASSES = ("background", "core", "edema")
METRICS = {"dice": Dice(), "hd95": HD95()}
SHAPE = (6, 5, 4)
GRID = Geometry(SHAPE, np.eye(4))


def scored(reference, prediction, has_ignored=True, **more):
    regions = {"tumor": ("core", "edema")}
    found = score_case(
        reference, prediction, GRID, CLASSES, METRICS, case="c", regions=regions, has_ignored=has_ignored, **more
    )
    return {(score.class_name, score.metric): score for score in found}


@pytest.fixture
def pair():
    """Six reference voxels of core, three of them predicted; edema follows in both."""
    reference, prediction = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    reference[:, 0, 0], reference[:, 2, 0] = 1, 2
    prediction[:3, 0, 0], prediction[:, 2, 0] = 1, 2
    return reference, prediction


def test_dice_is_that_of_the_other_voxels(pair):
    reference, prediction = pair
    assert scored(reference, prediction, has_ignored=False)["core", "dice"].value == 2 * 3 / (6 + 3)
    reference[4:, 0, 0] = IGNORED  # two missed voxels of core
    reference[:1, 2, 0] = IGNORED  # a voxel predicted as edema
    found = scored(reference, prediction)
    assert found["core", "dice"].value == 2 * 3 / (4 + 3)
    assert found["edema", "dice"].value == 1
    assert found["tumor", "dice"].value == 2 * (3 + 5) / (4 + 5 + 3 + 5)
    assert {score.n_ignored for score in found.values()} == {3}
    core = found["edema", "dice"]
    assert (core.n_reference, core.n_prediction) == (5, 5)


@pytest.mark.parametrize("order", ["C", "F"])
def test_no_prediction_at_an_ignored_voxel_changes_a_score(pair, order):
    reference, prediction = pair
    reference[:, 4, :] = IGNORED
    expected = scored(reference, prediction)
    for garbage in (1, 2, IGNORED):
        prediction[:, 4, :] = garbage
        assert scored(np.asarray(reference, order=order), np.asarray(prediction, order=order)) == expected


def test_the_ignored_value_elsewhere_in_a_prediction_is_an_error(pair):
    reference, prediction = pair
    reference[:, 4, 0] = IGNORED
    prediction[:, 4, :2] = IGNORED
    with pytest.raises(DataError, match="case c, prediction: 6 voxels have the ignored value where the reference has"):
        scored(reference, prediction)
    with pytest.raises(DataError, match="class indices from 0 to 255, but there are 3 classes"):
        scored(reference, prediction, has_ignored=False)


def test_the_digest_identifies_the_ignored_voxels_too(pair):
    reference, prediction = pair
    plain = scored(reference, prediction, has_ignored=False)
    assert scored(reference, prediction) == plain
    digests = set()
    for place in (np.s_[0, 4, 0], np.s_[1, 4, 0]):
        marked = reference.copy()
        marked[place] = IGNORED
        digests |= {scored(np.asarray(marked, order=o), prediction)["core", "dice"].reference_digest for o in "CF"}
    assert len(digests | {plain["core", "dice"].reference_digest}) == 3


def test_a_table_has_the_column_only_if_a_voxel_is_ignored(tmp_path, pair):
    reference, prediction = pair
    plain = [*scored(reference, prediction).values()]
    reference[0, 4, 0] = IGNORED
    marked = [replace(score, case="d") for score in scored(reference, prediction).values()]
    write_scores(tmp_path / "plain.csv", iter(plain))
    assert (tmp_path / "plain.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert read_scores(tmp_path / "plain.csv") == plain
    write_scores(tmp_path / "both.csv", iter([*plain, *marked]))
    assert (tmp_path / "both.csv").read_text().splitlines()[0] == ",".join([*COLUMNS, "n_ignored"])
    assert read_scores(tmp_path / "both.csv") == [*plain, *marked]


def test_tables_with_and_without_the_column_can_be_concatenated(tmp_path, pair):
    reference, prediction = pair
    plain = [*scored(reference, prediction).values()]
    reference[0, 4, 0] = IGNORED
    marked = [replace(score, case="d") for score in scored(reference, prediction).values()]
    for name, scores in (("plain", plain), ("marked", marked)):
        write_scores(tmp_path / name, scores)
    text = [(tmp_path / name).read_text() for name in ("marked", "plain")]
    (tmp_path / "all.csv").write_text("".join(text))
    assert read_scores(tmp_path / "all.csv") == [*marked, *plain]


def test_the_summary_counts_each_ignored_voxel_once(pair):
    reference, prediction = pair
    assert "ignored" not in summarize(scored(reference, prediction).values())
    assert ignored_note(summarize(scored(reference, prediction).values())) == ""
    reference[:, 4, :] = IGNORED
    scores = [replace(s, checkpoint=name) for s in scored(reference, prediction).values() for name in ("last", "best")]
    summary = summarize(scores)
    assert summary["ignored"] == {"voxels": 24, "cases": 1}
    assert ignored_note(summary) == "24 voxels of 1 case are ignored."
