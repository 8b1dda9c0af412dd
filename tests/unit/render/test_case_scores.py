import math

from helpers_scores import score

from semiseg.render.case_scores import case_scores, worst_cases


def test_rows_show_what_cannot_be_a_number():
    found = case_scores(
        [
            score("a", 0.5),
            score("b", math.inf, metric="hd95", unit="mm", status="missed"),
            score("c", math.nan, status="both_empty"),
            score("d", 12.3456, metric="hd95", unit="mm"),
        ],
        run="mine",
    )
    assert [(row.value, row.shown, row.metric, row.status) for row in found] == [
        (0.5, "0.500", "dice", "found"),
        (None, "infinite", "hd95 [mm]", "missed"),
        (None, "undefined", "dice", "in neither"),
        (12.3456, "12.35", "hd95 [mm]", "found"),
    ]
    assert {row.run for row in found} == {"mine"}


def test_the_worst_cases_are_those_with_the_worst_mean_over_classes():
    scores = [
        score("a", 0.9, class_name="x"),
        score("a", 0.1, class_name="y"),
        score("b", 0.4, class_name="x"),
        score("b", 0.4, class_name="y"),
        score("c", math.nan),
        score("d", 0.0, metric="hd95", unit="mm"),
        score("e", 0.0, kind="region"),
    ]
    assert worst_cases(scores, "dice", higher_is_better=True, count=5) == [("b", 0.4), ("a", 0.5)]
    assert worst_cases(scores, "dice", higher_is_better=False, count=1) == [("a", 0.5)]
