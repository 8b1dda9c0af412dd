"""The decision on largest components, by made scores of validation cases."""

import math

import pytest

from semiseg.errors import RunError
from semiseg.runs.folder import RunFolder
from semiseg.runs.postprocessing import (
    Decision,
    decision_of_class,
    largest_classes,
    pooled,
    read_decision,
    write_decision,
)


def decision(weights="w", **cases):
    classes = {name: decision_of_class(pairs) for name, pairs in cases.items()}
    return Decision(weights=weights, mirrored_axes=[], neighbors=26, classes=classes)


def test_it_is_applied_only_where_it_raises_the_mean_dice():
    helps = decision_of_class({"a": (0.5, 0.9), "b": (0.8, 0.7)})
    assert (helps.applied, helps.before, helps.after) == (True, pytest.approx(0.65), pytest.approx(0.8))
    assert not decision_of_class({"a": (0.5, 0.6), "b": (0.8, 0.6)}).applied
    assert not decision_of_class({"a": (0.5, 0.5)}).applied


def test_cases_without_the_class_do_not_count():
    found = decision_of_class({"a": (math.nan, math.nan), "b": (0.8, 0.9)})
    assert (found.before, found.cases) == (0.8, {"b": (0.8, 0.9)})
    none = decision_of_class({"a": (math.nan, math.nan)})
    assert (none.applied, none.before, none.after) == (False, None, None)


def test_a_class_that_it_helps_and_one_that_it_hurts():
    found = decision(lung={"a": (0.9, 0.6)}, liver={"a": (0.7, 0.8)})
    assert largest_classes("auto", ("background", "lung", "liver"), found) == (2,)
    assert largest_classes("largest_component", ("background", "lung", "liver"), None) == (1, 2)
    assert largest_classes("none", ("background", "lung", "liver"), found) == ()
    assert found.sentence() == (
        "only the largest component of a class (mean Dice of 1 validation case as predicted and with it):"
        " lung no (0.9000 -> 0.6000), liver yes (0.7000 -> 0.8000)"
    )


def test_several_runs_decide_by_all_their_cases():
    one, two = decision(a={"x": (0.5, 0.6)}, b={"x": (0.5, 0.6)}), decision(a={"x": (0.9, 0.5)}, b={"x": (0.5, 0.6)})
    assert one.applied == ["a", "b"]
    together = pooled([("one", one), ("two", two)], "both")
    assert together.applied == ["b"]
    assert together.classes["a"].cases == {"one: x": (0.5, 0.6), "two: x": (0.9, 0.5)}


def test_it_is_read_again_for_the_same_weights_alone(tmp_path):
    folder, found = RunFolder(tmp_path), decision("w", a={"x": (0.5, 0.6)})
    assert read_decision(folder, "last", "w", (), ["a"]) is None
    write_decision(folder, ["last", "best"], found)
    other = decision("v", a={"x": (0.5, 0.4)})
    write_decision(folder, ["best"], other)
    assert read_decision(folder, "last", "w", (), ["a"]) == found
    assert read_decision(folder, "best", "v", (), ["a"]) == other
    for weights, axes, classes in (("v", (), ["a"]), ("w", (0,), ["a"]), ("w", (), ["b"])):
        assert read_decision(folder, "last", weights, axes, classes) is None
    folder.postprocessing.write_text('{"last": {}}')
    with pytest.raises(RunError, match=r"postprocessing\.json.*\n.*Delete it"):
        read_decision(folder, "last", "w", (), ["a"])
