"""A study's figures: what is drawn, what is said of it, and that the same data give the same files."""

import io
from xml.etree import ElementTree

import matplotlib
import pytest
from helpers_study import arm, flat, log, study
from PIL import Image

from semiseg.report import figure_style
from semiseg.report.figure_curves import curves_figure
from semiseg.report.figure_savings import CurvePoint, SavingsPoint, savings_figure
from semiseg.report.figure_totals import totals_figure
from semiseg.report.figure_training import training_figure
from semiseg.report.study_figures import study_figures, write_figures
from semiseg.report.study_metric import study_metric

LOGS = [log([1.0, 0.6], [0.2, 0.4]), log([0.8, 0.4], [0.4, 0.6])]
CURVE = [CurvePoint(12, 0.64, 0.62, 0.66), CurvePoint(25, 0.70, 0.68, 0.72), CurvePoint(50, 0.75, 0.73, 0.77)]


def small(setting="", logs=()):
    """Two counts, with and without unlabeled cases, and the baseline fully labeled."""
    about = {"setting": setting, "logs": logs}
    return study(
        arm("supervised", 12, flat(0.5), **about),
        arm("supervised", 25, flat(0.6), **about),
        arm("supervised", 100, flat(0.8), **about),
        arm("cps", 12, flat(0.45), **about),
        arm("cps", 12, flat(0.55), total=50, **about),
        arm("cps", 12, flat(0.56), total=100, **about),
        arm("cps", 25, flat(0.65), total=100, **about),
        training_cases=100,
    )


@pytest.fixture
def drawn(monkeypatch):
    """The panels of the last figure, in place of its files."""
    panels = []

    def keep(drawing, kind, metadata):
        panels[:] = drawing.axes
        return b""

    monkeypatch.setattr(figure_style, "_file", keep)
    return panels


def dice(results):
    return study_metric(results, "dice")


def points(line):
    return [(float(x), pytest.approx(float(y))) for x, y in zip(*line.get_data(), strict=True)]


def labeled_lines(ax):
    """The lines of the legend by label; those with error bars too."""
    return {
        label: getattr(handle, "lines", [handle])[0]
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }


def test_curves(drawn):
    results = small("unetr")
    figure = curves_figure(results, dice(results))
    lines = labeled_lines(drawn[0])
    assert points(lines["supervised"]) == [(12, 0.5), (25, 0.6)]
    assert points(lines["cps"]) == [(12, 0.56), (25, 0.65)]  # with the most cases in all
    assert points(lines["supervised, all 100 labeled"]) == [(0, 0.8), (1, 0.8)]  # from side to side
    assert [text.get_text() for text in drawn[0].get_xticklabels()] == ["12", "25"]
    assert (drawn[0].get_title(), drawn[0].get_ylabel()) == ("unetr", "Dice")
    assert "unetr – supervised: 0.500 (" in figure.alt
    assert "supervised with all 100 labeled: 0.800" in figure.alt


def test_totals(drawn):
    results = small()
    figure = totals_figure(results, dice(results))
    lines = labeled_lines(drawn[0])
    assert points(lines["12 labeled"]) == [(0, 0.45), (1, 0.55), (2, 0.56)]
    assert points(lines["25 labeled"]) == [(2, 0.65)]
    assert [text.get_text() for text in drawn[0].get_xticklabels()] == ["no\nunlabeled", "50", "100"]
    stars = [line for line in drawn[0].lines if line.get_marker() == "*" and len(line.get_xdata())]
    assert [float(star.get_ydata()[0]) for star in stars] == pytest.approx([0.5, 0.6])
    assert "with 12 labeled supervised 0.500, 0.450 without unlabeled cases, 0.550 of 50 in all" in figure.alt


def test_training_is_of_the_second_smallest_count(drawn):
    figure = training_figure(small(logs=LOGS))
    loss, validation = (labeled_lines(ax) for ax in drawn)
    assert list(loss) == ["supervised, 25 labeled", "cps, 25 of 100 labeled"]
    assert points(loss["cps, 25 of 100 labeled"]) == [(1, 0.9), (2, 0.5)]
    assert points(validation["supervised, 25 labeled"]) == [(1, 0.3), (2, 0.5)]
    assert len(drawn[0].lines) == 2 * (2 + 1)  # two seeds and their mean
    assert "validation Dice 0.500 at the end" in figure.alt
    assert "12 labeled" in training_figure(small(logs=LOGS), labeled=12).alt


def test_seeds_are_averaged_where_all_have_a_value(drawn):
    logs = [log([1.0, 0.6, 0.5, 0.4], [0.2, 0.4, 0.5, 0.6], every=2), log([0.8, 0.4], [0.4, 0.6])]
    training_figure(small(logs=logs))
    loss, validation = (labeled_lines(ax)["supervised, 25 labeled"] for ax in drawn)
    assert points(loss) == [(1, 0.9), (2, 0.5)]
    assert points(validation) == [(2, 0.5)]


def test_what_the_study_does_not_have_is_not_drawn():
    alone = study(arm("supervised", 12, flat(0.5)), arm("supervised", 25, flat(0.6)))
    assert study_figures(alone) == ()
    pair = study(arm("supervised", 12, flat(0.5)), arm("cps", 12, flat(0.6), total=50))
    assert [figure.key for figure in study_figures(pair)] == ["curves_dice"]
    assert training_figure(small(logs=LOGS), labeled=13) is None
    assert savings_figure([], CURVE, method="cps") is None


def test_savings(drawn):
    reached = SavingsPoint(12, 0.67, 0.66, 0.68, 17.3, 15.0, None)
    beyond = SavingsPoint(25, 0.80, 0.78, 0.82, None, None, None)
    figure = savings_figure([beyond, reached], CURVE, method="cps")
    assert [text.get_text() for text in drawn[0].texts] == ["worth 17 labels", "worth >50 labels"]
    bottom = drawn[0].get_ylim()[0]
    guides = [points(line) for line in drawn[0].lines if line.get_linestyle() == ":"]
    assert guides == [[(12, 0.67), (17.3, 0.67), (17.3, pytest.approx(bottom))]]
    assert "0.67 with 12 labeled, worth 17 labels (95 % interval 15 to more than it shows)" in figure.alt
    assert "0.8 with 25 labeled, worth >50 labels" in figure.alt


@pytest.mark.parametrize(("score", "said"), [(5.0, "worth >25 labels"), (40.0, "worth <12 labels")])
def test_savings_where_lower_is_better(score, said):
    curve = [(12, 30.0, 29.0, 31.0), (25, 20.0, 19.0, 21.0)]
    point = SavingsPoint(12, score, score - 1, score + 1, None, None, None)
    falling = [CurvePoint(*each) for each in curve]
    figure = savings_figure([point], falling, method="cps", metric="HD95 [mm]", higher_is_better=False)
    assert said in figure.alt


def test_files_are_whole_and_the_same_every_time(tmp_path):
    before = dict(matplotlib.rcParams)
    figures = study_figures(small("unetr", LOGS))
    assert [figure.key for figure in figures] == ["curves_dice", "training", "totals_dice"]
    assert study_figures(small("unetr", LOGS)) == figures
    assert dict(matplotlib.rcParams) == before
    paths = write_figures(tmp_path, figures)
    assert [path.name for path in paths[:2]] == ["curves_dice.svg", "curves_dice.png"]
    for figure in figures:
        assert ElementTree.fromstring(figure.svg).tag.endswith("svg")
        assert b"<dc:date>" not in figure.svg
        with Image.open(io.BytesIO(figure.png)) as image:
            assert round(image.info["dpi"][0]) == 150
        assert (tmp_path / f"{figure.key}.svg").read_bytes() == figure.svg


def test_many_settings_take_several_lines(drawn):
    arms = [
        arm(method, 12, flat(0.5), total=total, setting=f"s{i}")
        for i in range(4)
        for method, total in (("supervised", 12), ("cps", 50))
    ]
    results = study(*arms)
    curves_figure(results, dice(results))
    assert [ax.get_title() for ax in drawn] == ["s0", "s1", "s2", "s3"]
    assert [bool(ax.get_ylabel()) for ax in drawn] == [True, False, False, True]
