"""Published values compared with ours, in tables."""

import math
import re
from pathlib import Path

import pytest
from helpers_study import arm, flat
from helpers_study import study as results_of

from semiseg.datasets.brats import CLASSES
from semiseg.study.published import load_published
from semiseg.study_report.tables.published_tables import published_applies
from semiseg.study_report.tables.study_tables import study_tables

PUBLISHED = load_published(Path(__file__).parents[3] / "recipes/published/luque2023.yaml")
BRATS = {"dataset": {"name": "brats"}}
DISTANCE = {"metric": "hd95", "unit": "mm"}


def published_tables(*arms, **more):
    """The tables with published values, by key, and the texts of some of a table's columns, by row."""
    found = study_tables(results_of(*arms, published=PUBLISHED, **more))
    return {table.key: table for table in found if table.key.startswith("published")}


def texts(table, *columns):
    return [tuple(row[table.columns.index(column)].text for column in columns) for row in table.rows]


def test_published_values_stand_beside_ours():
    table = published_tables(
        arm("supervised", 12, flat(0.5), setting="unetr", **BRATS),
        arm("cps", 12, flat(0.6), total=600, setting="unetr", **BRATS),
        arm("supervised", 30, flat(0.6), setting="unetr", **BRATS),
    )["published_dice"]
    assert texts(table, "class", "labeled", "supervised: published", "supervised: ours", "cps: difference") == [
        ("necrosis", "12", "0.52", "0.500", "+0.030"),
        ("edema", "12", "0.69", "0.500", "-0.080"),
        ("enhancing", "12", "0.72", "0.500", "-0.160"),
        ("mean", "12", "0.64", "0.500", "-0.070"),
    ]
    percent = ("gain %: printed", "gain %: (b-a)/a of printed", "gain %: ours")
    assert texts(table, *percent)[3] == ("+4.1", "+4.7", "+20.0")  # 3/64
    assert any("on 1050 cases in all, these on 600" in note for note in table.notes)
    assert table.notes[0] == (
        "Not the same test cases as published. Published values have no interval, so a difference does not "
        "mean that reproduction failed. Ours: 1 seed, last weights."
    )


def distances(method, values, total, seeds=1):
    return arm(method, 12, *[values] * seeds, total=total, backbone={"name": "basic_unet"}, **DISTANCE, **BRATS)


def test_published_distances_show_both_percentages():
    arms = (distances("supervised", flat(20.0), 12, 2), distances("cps", flat(15.0), 1050))
    table = published_tables(*arms)["published_hd95"]
    percent = [f"reduction %: {what}" for what in ("printed", "(a-b)/a of printed", "ours")]
    assert texts(table, "setting", "class", *percent) == [("basic_unet", "mean", "+26.6", "+27.9", "+25.0")]
    assert any("2(a-b)/(a+b)" in note for note in table.notes)
    assert table.notes[0].endswith("Ours: 1 to 2 seeds, last weights.")


def test_published_distances_stand_beside_ours_without_missed_structures_too():
    missed = {name: [20.0] * 7 + [math.inf] for name in CLASSES[1:]}  # the diagonal is 100
    found = {name: [15.0] * 7 + [23.0] for name in CLASSES[1:]}
    arms = (distances("supervised", missed, 12), distances("cps", found, 1050))
    table = published_tables(*arms)["published_hd95"]
    ours = ("supervised: ours", "supervised: ours, missed left out", "cps: ours", "cps: ours, missed left out")
    assert texts(table, *ours) == [("30.00", "20.00", "16.00", "15.00")]  # the last case is left out for both
    said = " ".join(table.notes)
    assert "counts the image diagonal" in said
    assert "What the published mean counts for a missed structure is not known" in said
    assert "Ours, missed left out: without the distances to missed and spurious structures." in said
    alone = published_tables(*arms, policy="exclude")["published_hd95"]
    assert ours[1] not in alone.columns
    assert not any(note.startswith("Ours, missed left out") for note in alone.notes)


@pytest.mark.parametrize(
    ("classes", "dataset", "reason"),
    [
        (CLASSES[1:], {"name": "brats"}, ""),
        (CLASSES[1:], {"name": "phantom"}, r"are of BraTS 2021 \(dataset brats\), these of phantom"),
        (CLASSES[1:], None, "these of unknown"),
        (("core",), {"name": "brats"}, "are edema, enhancing, necrosis, these core"),
    ],
)
def test_published_values_stand_beside_the_same_data_alone(classes, dataset, reason):
    more = {"setting": "basic_unet", "dataset": dataset}
    arms = (arm("supervised", 12, flat(0.5, classes), **more), arm("cps", 12, flat(0.6, classes), total=1050, **more))
    found = published_applies(results_of(*arms), PUBLISHED)
    assert re.search(reason, found)
    assert bool(found) == bool(reason)
    assert list(published_tables(*arms)) == ([] if reason else ["published_dice"])
