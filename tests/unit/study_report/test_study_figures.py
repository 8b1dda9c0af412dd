"""A study's figures: what is drawn, what is said of it, and that the same data give the same files."""

import io
from xml.etree import ElementTree

import matplotlib
import pytest
from helpers_study import arm, flat, log, study
from matplotlib.colors import rgb_to_hsv, to_hex, to_rgb
from PIL import Image

from semiseg.render import figure_style
from semiseg.render.training_curves import TrainingLogs, run_figure
from semiseg.study_report.figures.curves import curves_figure
from semiseg.study_report.figures.finding_figures import savings_of
from semiseg.study_report.figures.savings import CurvePoint, SavingsPanel, SavingsPoint, savings_figure
from semiseg.study_report.figures.study_figures import study_figures, write_figures
from semiseg.study_report.figures.totals import totals_figure
from semiseg.study_report.figures.training import training_figure
from semiseg.study_report.findings import findings
from semiseg.study_report.study_metric import study_metric

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


@pytest.fixture
def savings(drawn):
    """Draws the savings figure of one panel, or of several."""

    def draw(points, curve=CURVE, setting="", method="cps", **about):
        return savings_figure([SavingsPanel(setting, method, points, curve)], **about)

    return draw


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
    assert heights(lines["cps"]) == [(12, 0.56), (25, 0.65)]  # with the most cases in all
    assert heights(lines["cps without unlabeled cases"]) == [(12, 0.45)]
    assert "cps without unlabeled cases: 0.450 (" in figure.alt
    assert points(lines["supervised, all 100 labeled"]) == [(0, 0.8), (1, 0.8)]  # from side to side
    assert [text.get_text() for text in drawn[0].get_xticklabels()] == ["12", "25"]
    assert (drawn[0].get_title(), drawn[0].get_ylabel()) == ("unetr", "Dice")
    assert "unetr – supervised: 0.500 (" in figure.alt
    assert "supervised with all 100 labeled: 0.800" in figure.alt


def test_totals(drawn):
    results = small()
    figure = totals_figure(results, dice(results))
    lines = labeled_lines(drawn[0])
    assert heights(lines["12 labeled"]) == [(0, 0.45), (1, 0.55), (2, 0.56)]
    assert heights(lines["25 labeled"]) == [(2, 0.65)]
    assert [text.get_text() for text in drawn[0].get_xticklabels()] == ["no\nunlabeled", "50", "100"]
    stars = [line for line in drawn[0].lines if line.get_marker() == "*" and len(line.get_xdata())]
    assert [float(star.get_ydata()[0]) for star in stars] == pytest.approx([0.5, 0.6])
    assert "with 12 labeled supervised 0.500, 0.450 without unlabeled cases, 0.550 of 50 in all" in figure.alt


def heights(line):
    """The nearest tick and the value of each point."""
    return [(round(x), y) for x, y in points(line)]


def test_totals_have_intervals_and_the_darker_the_more_labels(drawn):
    results = small()
    figure = totals_figure(results, dice(results))
    bars = [bar for container in drawn[0].containers for bar in container.lines[2][0].get_segments()]
    assert len(bars) == 4 + 2  # an interval of each point, and of each star
    assert all(low < high for (_, low), (_, high) in bars)
    colors = [to_hex(line.get_color()) for line in labeled_lines(drawn[0]).values() if line.get_marker() != "*"]
    brightness = [rgb_to_hsv(to_rgb(color))[2] for color in colors]
    assert brightness == sorted(brightness, reverse=True)
    assert not set(colors) & {color.lower() for color in figure_style.COLORS}
    assert figure.note.startswith("Stars: supervised. Bars: 95 % bootstrap interval of each mean alone, over 8 test")


def test_notes_say_what_bands_are_and_of_how_many_cases_and_seeds():
    results = small(logs=LOGS)
    figure = curves_figure(results, dice(results))
    assert figure.note == (
        "Band and bars: 95 % bootstrap interval of each mean alone, over 8 test cases and 1 seed; "
        "paired differences, which are narrower, are in the table."
    )
    uneven = study(arm("supervised", 12, flat(0.5), flat(0.5)), arm("cps", 12, *[flat(0.6)] * 3, total=50))
    assert "over 8 test cases and 2 to 3 seeds" in curves_figure(uneven, dice(uneven)).note
    assert training_figure(results).note.startswith("Thin lines: each of 2 seeds.")
    alone = study(arm("supervised", 12, flat(0.5, cases=1)), arm("cps", 12, flat(0.6, cases=1), total=50))
    assert curves_figure(alone, dice(alone)).note == ""  # one case has no interval


def test_axes_say_where_lower_is_better(drawn):
    about = {"metric": "hd95", "unit": "mm"}
    pair = study(arm("supervised", 12, flat(9.0), **about), arm("cps", 12, flat(8.0), total=50, **about))
    curves_figure(pair, study_metric(pair, "hd95"))
    assert drawn[0].get_ylabel() == "HD95 [mm], lower is better"


def test_training_is_of_the_second_smallest_count(drawn):
    figure = training_figure(small(logs=LOGS))
    loss, validation = (labeled_lines(ax) for ax in drawn)
    assert list(loss) == ["supervised, 25 labeled", "cps, 25 of 100 labeled"]
    assert points(loss["cps, 25 of 100 labeled"]) == [(1, 0.9), (2, 0.5)]
    assert points(validation["supervised, 25 labeled"]) == [(1, 0.3), (2, 0.5)]
    assert len(drawn[0].lines) == 2 * (2 + 1)  # two seeds and their mean
    assert "validation Dice 0.500 at the end" in figure.alt
    assert "12 labeled" in training_figure(small(logs=LOGS), labeled=12).alt


@pytest.mark.parametrize(("total", "color"), [(12, figure_style.BASELINE_COLOR), (50, figure_style.COLORS[0])])
def test_a_run_alone_is_a_solid_line_in_its_method_s_color(drawn, total, color):
    run_figure(TrainingLogs("cps", 12, total, tuple(LOGS[:1])))
    (line,) = drawn[0].lines
    assert (line.get_linestyle(), line.get_color()) == ("-", color)


def test_a_method_has_the_same_color_in_training_as_in_curves(drawn):
    arms = [arm(name, 12, flat(0.5), total=total, logs=LOGS) for name, total in (("supervised", 12), ("cps", 50))]
    results = study(*arms, arm("mean_teacher", 12, flat(0.5), total=50, logs=LOGS))
    training_figure(results, method="mean_teacher")
    assert labeled_lines(drawn[0])["mean_teacher, 12 of 50 labeled"].get_color() == figure_style.COLORS[1]


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
    assert [figure.key for figure in study_figures(pair)] == ["curves_dice", "paired_dice"]
    assert training_figure(small(logs=LOGS), labeled=13) is None
    assert savings_figure([]) is None
    assert savings_figure([SavingsPanel("", "cps", [], CURVE)]) is None


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_savings(drawn, savings):
    reached = SavingsPoint(12, 0.67, 0.66, 0.68, 17.3, 15.0, None)
    beyond = SavingsPoint(25, 0.80, 0.78, 0.82, None, None, None)
    figure = savings([beyond, reached], setting="unetr")
    (ax,) = drawn
    assert (figure.key, figure.title, ax.get_title()) == ("savings", "How many labels cps saves", "unetr, cps")
    assert texts(ax) == ["17", ">50"]
    bottom, edge = ax.get_ylim()[0], ax.get_xlim()[1] / 1.04
    guides = [points(line) for line in ax.lines if line.get_linestyle() == ":"]
    assert guides == [
        [(12, 0.67), (17.3, 0.67), (17.3, pytest.approx(bottom))],
        [(25, 0.80), (pytest.approx(edge), 0.80)],
    ]
    assert ax.texts[0].xy == pytest.approx((17.3, bottom))  # at the guide's foot
    assert "unetr – supervised: 0.640 with 12, 0.700 with 25" in figure.alt
    assert "0.670 with 12 labeled, worth 17 labels (95 % interval 15 to more than it shows)" in figure.alt
    assert "0.800 with 25 labeled, worth >50 labels" in figure.alt
    assert "Horizontal bars: its 95 % interval" in figure.note


@pytest.mark.parametrize(("score", "said", "side"), [(5.0, ">25", 1), (40.0, "<12", 0)])
def test_savings_where_lower_is_better(drawn, savings, score, said, side):
    falling = [CurvePoint(12, 30.0, 29.0, 31.0), CurvePoint(25, 20.0, 19.0, 21.0)]
    point = SavingsPoint(12, score, score - 1, score + 1, None, None, None)
    label = "HD95 [mm], lower is better"
    figure = savings([point], falling, metric=label, higher_is_better=False, digits=2)
    assert f"{score:.2f} with 12 labeled, worth {said} labels" in figure.alt
    assert drawn[0].get_ylabel() == label
    (text,) = drawn[0].texts
    assert text.get_text() == said
    assert text.xy[0] == pytest.approx(drawn[0].get_xlim()[side], rel=0.05)


def test_numbers_at_the_foot_never_print_over_each_other(monkeypatch):
    boxes = []

    def keep(drawing, kind, metadata):
        drawing.draw_without_rendering()
        for ax in drawing.axes:
            boxes.append([text.get_window_extent() for text in ax.texts])
        return b""

    monkeypatch.setattr(figure_style, "_file", keep)
    curve = [*CURVE, CurvePoint(1050, 0.80, 0.78, 0.82)]
    scores = {145: 0.769, 169: 0.773, 181: 0.775, 400: 0.79}
    close = [SavingsPoint(12 + i, s, s - 0.01, s + 0.01, w, w - 9, w + 9) for i, (w, s) in enumerate(scores.items())]
    for panels in ([SavingsPanel("", "cps", close, curve)], [SavingsPanel(s, "cps", close, curve) for s in "abcd"]):
        savings_figure(panels).png()
    assert len(boxes) == 2 * (1 + 4)
    for one in boxes:
        assert not any(a.overlaps(b) for i, a in enumerate(one) for b in one[i + 1 :])
        assert len({round(box.y0) for box in one}) == 3  # only as many lines as it takes


def test_arrows_close_to_each_other_say_their_number_once(drawn, savings):
    savings(
        [SavingsPoint(n, s, s - 0.01, s + 0.01, None, None, None) for n, s in ((12, 0.800), (25, 0.801), (50, 0.9))]
    )
    assert texts(drawn[0]) == [">50", ">50"]


def test_settings_are_lines_and_methods_columns_with_one_scale_a_setting(drawn):
    low = SavingsPoint(12, 0.66, 0.50, 0.68, 16.0, 12.0, 20.0)
    high = low._replace(score=0.74, score_low=0.72, score_high=0.99, worth=45.0)
    panels = [
        SavingsPanel("unetr", "cps", [low], CURVE),
        SavingsPanel("unetr", "fixmatch", [], CURVE),  # has nothing to show
        SavingsPanel("unetr", "pi_model", [low], CURVE),
        SavingsPanel("unet", "pi_model", [high], CURVE),
    ]
    figure = savings_figure(panels)
    assert [ax.get_title() for ax in drawn] == ["unetr, cps", "unetr, pi_model", "unet, pi_model"]
    assert figure.title == "How many labels each method saves"
    first, second, third = drawn
    places = [ax.get_subplotspec() for ax in drawn]
    assert [(place.rowspan.start, place.colspan.start) for place in places] == [(0, 0), (0, 1), (1, 1)]
    assert first.get_ylim() == second.get_ylim() != third.get_ylim()
    assert [bool(ax.get_ylabel()) for ax in drawn] == [True, False, True]
    assert labeled_lines(second)["pi_model"].get_color() == figure_style.COLORS[2]  # as in the figure of curves


def test_settings_stand_side_by_side_where_there_is_one_method(drawn):
    point = SavingsPoint(12, 0.66, 0.65, 0.67, 16.0, 12.0, 20.0)
    savings_figure([SavingsPanel(setting, "cps", [point], CURVE) for setting in ("unetr", "unet")])
    assert [ax.get_subplotspec().colspan.start for ax in drawn] == [0, 1]


def test_savings_of_a_study_are_one_figure_with_cases_and_seeds():
    arms = [arm("supervised", n, flat(v), setting=s) for s in ("a", "b") for n, v in ((4, 0.6), (8, 0.7), (16, 0.8))]
    arms += [arm("cps", 8, flat(0.75), total=16, setting=s) for s in ("a", "b")]
    results = study(*arms, training_cases=16)
    (figure,) = savings_of(results, findings(results, dice(results)), dice(results))
    assert figure.key == "savings"
    assert figure.note.startswith(
        "Band and vertical bars: 95 % bootstrap interval of each mean alone, over 8 test cases"
    )
    for setting in ("a", "b"):
        assert f"{setting} – supervised: 0.600 with 4, 0.700 with 8, 0.800 with 16; cps: 0.750 with 8" in figure.alt
    assert savings_of(results, (), dice(results)) == ()


@pytest.mark.slow
def test_files_are_whole_and_the_same_every_time(tmp_path):
    before = dict(matplotlib.rcParams)
    figures = study_figures(small("unetr", LOGS))
    assert [figure.key for figure in figures] == ["curves_dice", "paired_dice", "training", "totals_dice"]
    again = study_figures(small("unetr", LOGS))
    assert again == figures
    assert [figure.png() for figure in again] == [figure.png() for figure in figures]
    assert dict(matplotlib.rcParams) == before
    paths = write_figures(tmp_path, figures)
    assert [path.name for path in paths[:2]] == ["curves_dice.svg", "curves_dice.png"]
    for figure in figures:
        assert ElementTree.fromstring(figure.svg).tag.endswith("svg")
        assert b"<dc:date>" not in figure.svg
        with Image.open(io.BytesIO(figure.png())) as image:
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
