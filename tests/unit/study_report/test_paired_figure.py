"""Every test case with the baseline, the control and the method."""

import numpy as np
import pytest
from helpers_study import arm, flat, study

from semiseg.render import figure_style
from semiseg.study_report.figures.paired import paired_figure
from semiseg.study_report.study_metric import study_metric


@pytest.fixture
def drawn(monkeypatch):
    panels = []
    monkeypatch.setattr(
        figure_style, "_file", lambda drawing, *rest: panels.__setitem__(slice(None), drawing.axes) or b""
    )
    return panels


def figure(*arms, **more):
    results = study(*arms, training_cases=32, **more)
    return paired_figure(results, study_metric(results, "dice"))


def test_a_line_per_case_over_baseline_control_and_method(drawn):
    up = {"left": [0.5, 0.7], "right": [0.7, 0.7]}
    down = {"left": [0.5, 0.3], "right": [0.5, 0.5]}
    made = figure(
        arm("supervised", 4, {"left": [0.4, 0.6], "right": [0.4, 0.6]}),
        arm("cps", 4, {"left": [0.5, 0.5], "right": [0.5, 0.5]}),
        arm("cps", 4, up, down, total=32),
    )
    (panel,) = drawn
    *cases, mean = panel.get_lines()
    # cps, both cases: 0.5 and 0.6 over the seeds of the two classes.
    assert np.array([line.get_ydata() for line in cases]) == pytest.approx(
        np.array([[0.4, 0.5, 0.55], [0.6, 0.5, 0.55]])
    )
    assert mean.get_ydata() == pytest.approx([0.5, 0.5, 0.55])
    assert [label.get_text() for label in panel.get_xticklabels()] == ["supervised", "without\nunlabeled", "cps"]
    assert panel.get_title() == "cps, 4 labeled"
    assert "cps, 4 labeled: 1 of 2 cases are better than supervised" in made.alt


def test_a_case_without_a_value_in_one_of_them_is_left_out(drawn):
    gap = {"left": [0.5, float("nan")]}
    made = figure(arm("supervised", 4, {"left": [0.4, 0.6]}), arm("cps", 4, gap, total=32))
    assert len(drawn[0].get_lines()) == 2  # a case and the mean
    assert "1 of 1 cases" in made.alt


def test_fewest_labels_first_and_what_is_left_out_is_said(drawn):
    arms = [arm(method, n, flat(0.5)) for n in (4, 8, 16) for method in ("supervised", "a", "b", "c")]
    made = figure(*arms)
    assert [panel.get_title() for panel in drawn] == [f"{m}, {n} labeled" for n in (4, 8) for m in "abc"]
    assert made.note.endswith("The first 6 of 9 comparisons.")
    assert figure(*arms[:1]) is None
