"""The published values that brats_study names: what the publication says of its own tables holds for them."""

from pathlib import Path

import pytest

from semiseg.datasets.brats import CLASSES
from semiseg.recipe.yaml import read_yaml
from semiseg.study.published import MEAN, load_published

FILE = Path(__file__).parents[3] / "recipes/published/luque2023.yaml"
PRINTED, _ = read_yaml(FILE)
LABELED = (12, 25, 50, 100)


@pytest.fixture(scope="module")
def study():
    return load_published(FILE)


def mean_percent(study, metric, setting, name=MEAN):
    return sum(study.percent(metric, setting, labeled, name) for labeled in LABELED) / 4


def pairs(study, metric, setting):
    return [[study.value(metric, setting, method, n) for method in study.methods] for n in LABELED]


def test_values_are_found_by_metric_setting_method_labeled_and_class(study):
    assert study.value("dice", "unetr", "supervised", 12, "necrosis") == 0.52
    assert study.value("dice", "basic_unet", "cps", 100, "enhancing") == 0.84
    assert study.value("dice", "unetr", "cps", 25) == 0.70
    assert study.value("hd95 kind=maximum", "unetr", "cps", 100) == 8.8  # options follow a metric's name
    assert study.percent("dice", "unetr", 12, "edema") == -1.5


def test_what_is_not_printed_is_none(study):
    assert study.value("hd95", "unetr", "cps", 12, "necrosis") is None  # table 3 has means alone
    assert study.value("dice", "unetr", "supervised", 1050) is None  # figure 2 has it, no table
    assert study.value("assd", "unetr", "cps", 12) is study.percent("assd", "unetr", 12) is study.table("assd") is None
    assert study.value("dice", "vnet", "cps", 12) is None


def test_the_averages_of_the_text_are_those_of_the_printed_percentages(study):
    gains, reductions = PRINTED["headline"]["dice_gain_percent"], PRINTED["headline"]["hd95_reduction_percent"]
    by_class = {"necrosis": (8.0, 4.0), "enhancing": (3.4, 1.8), "edema": (2.0, 2.2)}
    for place, setting in enumerate(("unetr", "basic_unet")):
        assert mean_percent(study, "dice", setting) == pytest.approx(gains[setting], abs=0.051)
        assert mean_percent(study, "hd95", setting) == pytest.approx(reductions[setting], abs=0.51)
        for name, said in by_class.items():
            assert mean_percent(study, "dice", setting, name) == pytest.approx(said[place], abs=0.051)


def test_printed_means_are_those_of_the_classes_but_for_rounding(study):
    for setting in ("unetr", "basic_unet"):
        for method in study.methods:
            for labeled in LABELED:
                classes = [study.value("dice", setting, method, labeled, name) for name in study.classes]
                assert sum(classes) / 3 == pytest.approx(study.value("dice", setting, method, labeled), abs=0.0101)


@pytest.mark.parametrize(("setting", "mean_reduction"), [("unetr", 23.5), ("basic_unet", 22.4)])
def test_percentages_of_table_3_are_not_reductions(study, setting, mean_reduction):
    table = pairs(study, "hd95", setting)
    assert sum(100 * (a - b) / a for a, b in table) / 4 == pytest.approx(mean_reduction, abs=0.051)
    printed = [study.percent("hd95", setting, labeled) for labeled in LABELED]
    over_the_middle = [200 * (a - b) / (a + b) for a, b in table]
    near = [abs(p - o) < 0.9 for p, o in zip(printed, over_the_middle, strict=True)]
    assert near == ([True] * 4 if setting == "unetr" else [False, True, True, True])


def test_classes_are_those_of_the_dataset(study):
    assert set(study.classes) == set(CLASSES[1:])


def test_there_are_thirty_models():
    assert (
        sum(len(m["labeled"]) * (len(m["total"]) if isinstance(m["total"], list) else 1) for m in PRINTED["models"])
        == 30
    )
    assert PRINTED["dataset"]["cases"] == sum(PRINTED["dataset"]["split"].values()) == 1251
