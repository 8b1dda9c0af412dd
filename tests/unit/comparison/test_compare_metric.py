"""The table of one metric: hand-computed, and what must not change it."""

import math

import pytest
from helpers_scores import DIAGONAL, method, score, scored_run, table
from hypothesis import given, settings
from hypothesis import strategies as st

from semiseg.comparison.methods import Method
from semiseg.comparison.metric import compare_metric
from semiseg.scoring.policy import find_policy


def compared(*methods, metric="dice", higher=True, baseline=None, policy="image_diagonal"):
    chosen = baseline or methods[0].name
    return compare_metric(metric, methods, chosen, find_policy(policy), higher_is_better=higher)


def rows(comparison, name):
    """The entries of a method by row."""
    return {row.name: next(e for e in row.entries if e.method == name) for row in comparison.rows}


BASE = {"core": {"a": 0.8, "b": 0.6, "c": 0.7}, "edema": {"a": 0.5, "b": 0.5, "c": 0.5}}
BETTER = {"core": {"a": 0.9, "b": 0.6, "c": 0.9}, "edema": {"a": 0.6, "b": 0.6, "c": 0.6}}


def test_by_hand():
    found = compared(method("base", BASE), method("new", BETTER))
    new, base = rows(found, "new"), rows(found, "base")
    assert [row.name for row in found.rows] == ["core", "edema", "mean of 2 classes"]
    assert all(row.n == 3 and row.left_out == 0 for row in found.rows)
    assert base["core"].mean == pytest.approx(0.7)
    assert base["core"].difference is base["core"].p is base["core"].interval is None
    assert new["core"].mean == pytest.approx(0.8)
    assert new["core"].difference == pytest.approx(0.1)
    # Differences 0.1, 0, 0.2: their mean is 0 or 0.2 in one of 27 samples each, more than 2.5 %.
    assert new["core"].interval == pytest.approx((0.0, 0.2))
    assert new["edema"].interval == pytest.approx((0.1, 0.1))
    assert new["mean of 2 classes"].difference == pytest.approx(0.1)
    # All signs alike: 2 / 2^2 with one zero, 2 / 2^3 without; Holm: 3 · 0.25 holds for all that follow.
    assert [new[name].p for name in new] == pytest.approx([0.5, 0.25, 0.25])
    assert [new[name].p_adjusted for name in new] == pytest.approx([0.75, 0.75, 0.75])
    assert found.tests == 3
    assert [rank.first for rank in found.ranks] == [0, 1]


def test_holm_counts_all_methods_and_rows():
    cases = {str(i): i / 100 for i in range(8)}
    raised = [{case: value + 0.1 * k for case, value in cases.items()} for k in range(3)]
    shifted = [{"core": values, "edema": values} for values in raised]
    found = compared(*(method(f"m{k}", values) for k, values in enumerate(shifted)))
    assert found.tests == 2 * 3
    assert found.ranked_by == "mean of 2 classes"
    entries = rows(found, "m2")
    assert entries["core"].p == pytest.approx(2 / 2**8)
    assert entries["core"].p_adjusted == pytest.approx(6 * 2 / 2**8)
    assert entries["core"].verdict == "better"
    assert [rank.rank for rank in found.ranks] == [3, 2, 1]
    assert found.tau == 1
    lower = rows(compared(*(method(f"m{k}", v) for k, v in enumerate(shifted)), higher=False), "m2")
    assert lower["core"].verdict == "worse"


def test_a_mean_and_ranks_that_point_to_different_sides_are_called_mixed():
    base = {"core": {str(i): 0.5 for i in range(16)}}
    new = {"core": {str(i): 0.51 + i / 1000 for i in range(15)} | {"15": -5.0}}
    entry = rows(compared(method("base", base), method("new", new)), "new")["core"]
    assert entry.p_adjusted < 0.05
    assert entry.difference < 0 < entry.effect
    assert entry.verdict == "mixed"


def test_seeds_are_pooled_within_cases():
    ones = {"core": {"a": 0.4, "b": 0.6}}
    twos = [{"core": {"a": 0.5, "b": 0.9}}, {"core": {"a": 0.7, "b": 0.7}}]
    found = compared(method("base", ones), method("new", *twos))
    entry = rows(found, "new")["core"]
    assert found.rows[0].n == 2
    assert entry.mean == pytest.approx(0.7)
    assert entry.seed_std == pytest.approx(0.0)
    assert rows(found, "base")["core"].seed_std is None
    assert entry.difference == pytest.approx(0.2)
    # The two cases' differences, 0.6 - 0.4 and 0.8 - 0.6, are the units of the test, not the four values.
    assert entry.p == pytest.approx(2 / 2**2)
    # Both cases a and both times the first seed: one sample in 16; and so for the other corners.
    assert entry.interval == pytest.approx((0.1, 0.3))


def test_spread_of_the_seeds():
    seeds = [{"core": {"a": 0.4, "b": 0.6}}, {"core": {"a": 0.6, "b": 0.8}}]
    entry = rows(compared(method("base", seeds[0]), method("new", *seeds)), "new")["core"]
    assert entry.seed_std == pytest.approx(math.sqrt(2) * 0.1)


def undefined(case, **more):
    return score(case, math.nan, status="both_empty", n_reference=0, n_prediction=0, **more)


def test_a_case_that_one_run_has_no_value_for_is_left_out_for_all_and_counted():
    full = table({"core": {"a": 0.5, "b": 0.1, "c": 0.7}, "edema": {"a": 0.5, "b": 0.5, "c": 0.5}})
    holed = [undefined(s.case, class_name="core") if s.class_name == "core" and s.case == "b" else s for s in full]
    base, new = (Method(name, (scored_run(scores, name),)) for name, scores in (("base", full), ("new", holed)))
    found = compared(base, new)
    core, edema, mean = found.rows
    assert (core.n, core.left_out, core.one_sided) == (2, 1, 1)
    assert (edema.n, edema.left_out, edema.one_sided) == (3, 0, 0)
    assert (mean.n, mean.left_out, mean.one_sided) == (3, 1, 1)
    assert core.entries[0].mean == core.entries[1].mean == pytest.approx(0.6)
    assert mean.entries[0].mean == pytest.approx((0.6 + 0.5) / 2)
    both = compared(Method("base", new.runs), new)
    assert (both.rows[0].left_out, both.rows[0].one_sided) == (1, 0)


def test_nothing_left_and_one_case():
    empty = [undefined("a"), undefined("b"), *table({"edema": {"a": 0.5}}), undefined("b", class_name="edema")]
    methods = [Method(name, (scored_run(empty, name),)) for name in ("base", "new")]
    core, edema, _ = compared(*methods).rows
    assert (core.n, core.left_out) == (0, 2)
    assert core.entries[1].mean is core.entries[1].difference is core.entries[1].p_adjusted is None
    assert (edema.n, edema.entries[1].difference, edema.entries[1].interval, edema.entries[1].p) == (1, 0.0, None, 1.0)
    assert compared(*methods).ranks == ()


@pytest.mark.parametrize(("policy", "mean", "n"), [("image_diagonal", (2 + DIAGONAL) / 2, 2), ("exclude", 2.0, 1)])
def test_the_policy_says_what_a_miss_counts(policy, mean, n):
    more = {"metric": "hd95", "unit": "mm"}
    near, missed = score("a", 2.0, **more), score("b", math.inf, **more, status="missed")
    methods = [
        Method(name, (scored_run([near, last], name),))
        for name, last in (("base", missed), ("new", score("b", 4.0, **more)))
    ]
    row = compared(*methods, metric="hd95", higher=False, policy=policy).rows[0]
    assert (row.n, row.left_out, row.one_sided) == (n, 2 - n, 2 - n)
    assert row.entries[0].mean == pytest.approx(mean)


def test_regions_have_rows_and_tests_but_do_not_count_in_the_mean_of_classes():
    region = {"kind": "region"}
    scores = [*table({"whole": {"a": 0.1, "b": 0.1}}, **region), *table(BASE | {"core": {"a": 0.8, "b": 0.6}})]
    scores = [s for s in scores if s.case in "ab"]
    found = compared(*(Method(name, (scored_run(scores, name),)) for name in ("base", "new")))
    assert [(row.name, row.kind) for row in found.rows] == [
        ("core", "class"),
        ("edema", "class"),
        ("whole", "region"),
        ("mean of 2 classes", "mean"),
    ]
    assert found.rows[-1].entries[0].mean == pytest.approx((0.7 + 0.5) / 2)
    alone = [s for s in scores if s.kind == "region"]
    only = compared(*(Method(name, (scored_run(alone, name),)) for name in ("base", "new")))
    assert ([row.name for row in only.rows], only.ranked_by, only.tests) == (["whole"], "whole", 1)


values = st.floats(0, 1).map(lambda value: round(value, 2))
runs = st.lists(st.tuples(values, values, values, values), min_size=2, max_size=7)


def two(pairs):
    """Two classes of two methods from a list of cases."""
    columns = [{f"c{i}": pair[k] for i, pair in enumerate(pairs)} for k in range(4)]
    return {"core": columns[0], "edema": columns[1]}, {"core": columns[2], "edema": columns[3]}


@settings(max_examples=15, deadline=None)
@given(runs, st.randoms())
def test_the_order_of_rows_changes_nothing(pairs, random):
    first, second = two(pairs)
    found = compared(method("base", first), method("new", second))
    mixed = [{name: dict(random.sample(list(c.items()), len(c))) for name, c in run.items()} for run in (first, second)]
    assert compared(method("base", mixed[0]), method("new", mixed[1])) == found


@settings(max_examples=15, deadline=None)
@given(runs)
def test_the_other_baseline_turns_the_signs(pairs):
    methods = [method(name, run) for name, run in zip(("base", "new"), two(pairs), strict=True)]
    there, back = rows(compared(*methods), "new"), rows(compared(*methods, baseline="new"), "base")
    for name, entry in there.items():
        other = back[name]
        assert (other.difference, other.effect) == (-entry.difference, -entry.effect)
        assert other.interval == pytest.approx((-entry.interval[1], -entry.interval[0]), abs=1e-12)
        assert (other.p, other.p_adjusted) == (entry.p, entry.p_adjusted)


@settings(max_examples=15, deadline=None)
@given(st.lists(runs, min_size=1, max_size=3))
def test_a_method_does_not_differ_from_itself(seeds):
    n = min(len(seed) for seed in seeds)
    same = [two(seed[:n])[0] for seed in seeds]
    for entry in rows(compared(method("base", *same), method("new", *same)), "new").values():
        assert (entry.difference, entry.interval, entry.p, entry.p_adjusted) == (0, (0, 0), 1, 1)
        assert entry.verdict == ""
