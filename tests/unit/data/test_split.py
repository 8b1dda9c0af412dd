"""The protocol's promises about splits, as properties; and what is said where they cannot be kept."""

from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from semiseg.data.split import make_split
from semiseg.data.split_drawing import choose_groups, possible_sums
from semiseg.errors import DataError
from semiseg.recipe import schema
from semiseg.types import Case


def case(name, patient="", labeled=True):
    return Case(name, (Path(f"{name}.nii"),), Path(f"{name}_seg.nii") if labeled else None, patient)


def plain(n, unlabeled=0):
    return [case(f"c{i:03}", labeled=i >= unlabeled) for i in range(n)]


def split(cases, draw=0, **options):
    return make_split(cases, schema.Split(**options), draw)


def names(cases):
    return {c.id for c in cases}


@st.composite
def datasets(draw):
    """Cases of patients with one to three scans, some of them without labels."""
    cases = []
    for p in range(draw(st.integers(6, 20))):
        for t in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
            cases.append(case(f"p{p}t{t}", f"p{p}", draw(st.sampled_from([True, True, True, False]))))
    return cases


def try_split(cases, draw=0, **options):
    """A split, or None where it is refused for a count that the patients do not allow."""
    try:
        return split(cases, draw, **options)
    except DataError:
        return None


requests = st.fixed_dictionaries(
    {
        "test": st.integers(0, 4),
        "validation": st.integers(0, 3),
        "labeled": st.one_of(st.integers(1, 5), st.just("all")),
        "total": st.one_of(st.integers(1, 12), st.just("all")),
        "seed": st.integers(0, 5),
    }
)


@given(datasets(), requests, st.integers(0, 3))
def test_what_every_split_keeps(cases, options, draw):
    made = try_split(cases, draw, **options)
    assume(made is not None)
    sides = [{c.patient for c in side} for side in (made.test, made.validation, made.labeled + made.unlabeled)]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    assert len(made.ids()) == len(set(made.ids()))
    assert all(c.label is None for c in made.unlabeled)
    assert all(c.label is not None for c in made.labeled + made.validation + made.test)
    assert (len(made.test), len(made.validation)) == (options["test"], options["validation"])
    assert options["labeled"] in ("all", len(made.labeled))
    assert options["total"] in ("all", len(made.labeled) + len(made.unlabeled))
    assert made.labeled
    assert all(made.role_of(name) is not None for name in made.ids())


@given(datasets(), requests, st.integers(0, 3), st.integers(0, 3))
def test_the_split_s_seed_alone_fixes_test_and_validation(cases, options, draw, other):
    one = try_split(cases, draw, **options)
    two = try_split(cases, other, **{**options, "labeled": 1, "total": "all"})
    assume(one is not None and two is not None)
    assert one.evaluation_hash == two.evaluation_hash
    assert (one.test, one.validation) == (two.test, two.validation)


@given(datasets(), requests, st.integers(1, 5))
def test_labeled_sets_and_totals_are_nested(cases, options, more):
    assume(isinstance(options["labeled"], int) and isinstance(options["total"], int))
    small = try_split(cases, **options)
    more_labels = try_split(cases, **{**options, "labeled": options["labeled"] + more, "total": "all"})
    more_cases = try_split(cases, **{**options, "total": options["total"] + more})
    assume(small is not None)
    if more_labels is not None:
        assert names(small.labeled) <= names(more_labels.labeled)
    if more_cases is not None:
        assert names(small.labeled) == names(more_cases.labeled)
        assert names(small.unlabeled) <= names(more_cases.unlabeled)


@given(st.integers(12, 30), st.integers(0, 5), st.integers(1, 4), st.integers(1, 4))
def test_where_all_have_labels_totals_are_nested_over_labeled_sets_too(n, draw, labeled, more):
    small = split(plain(n), draw, labeled=labeled, total=5)
    large = split(plain(n), draw, labeled=labeled + more, total=9)
    assert names(small.labeled + small.unlabeled) <= names(large.labeled + large.unlabeled)


@given(st.integers(10, 25), st.integers(0, 5))
def test_the_order_of_cases_does_not_matter_and_a_new_case_moves_no_other(n, seed):
    cases = plain(n)
    options = {"test": 3, "validation": 2, "labeled": 3, "total": "all", "seed": seed}
    before = split(cases, **options)
    assert split(cases[::-1], **options) == before
    after = split([*cases, case("new")], **options)
    for one, two in ((before.test, after.test), (before.labeled, after.labeled)):
        assert len(names(one) - names(two)) <= 1


def test_known_values():
    """The same on every machine, today and in a year: results of earlier runs stay comparable."""
    made = split(plain(10), draw=1, test=2, validation=1, labeled=2, total=4)
    assert [sorted(names(role)) for role in (made.test, made.validation, made.labeled, made.unlabeled)] == KNOWN
    assert made.evaluation_hash == KNOWN_EVALUATION


KNOWN = [["c001", "c007"], ["c000"], ["c002", "c005"], ["c004", "c009"]]
KNOWN_EVALUATION = "4effaae54f813bb6781b725f3ac79486261056820927ca743055106ca457c45d"


def test_draw_changes_the_training_cases_only():
    one, two = (split(plain(40), draw, test=5, validation=5, labeled=5, total=10) for draw in (1, 2))
    assert one.evaluation_hash == two.evaluation_hash
    assert one.cases_hash != two.cases_hash
    assert names(one.labeled) != names(two.labeled)


def test_lists_are_taken_as_they_are():
    made = split(plain(8), test=["c001"], validation=["c002"], labeled=["c003", "c005"], total=3)
    assert [names(c) for c in (made.test, made.validation, made.labeled)] == [{"c001"}, {"c002"}, {"c003", "c005"}]
    assert len(made.unlabeled) == 1
    made = split(plain(8), labeled=2, total=["c001", "c002", "c007"])
    assert names(made.labeled + made.unlabeled) == {"c001", "c002", "c007"}


def test_labels_of_cases_beyond_the_labeled_ones_are_forgotten():
    made = split(plain(6), labeled=2)
    assert len(made.unlabeled) == 4
    assert all(c.label is None for c in made.unlabeled)


def test_all_labeled_of_a_total():
    made = split(plain(10, unlabeled=4), labeled="all", total=6)
    assert len(made.labeled) + len(made.unlabeled) == 6
    assert len(made.labeled) >= 2


def test_as_dict():
    made = split([case("a", "p"), case("b", "q"), case("c", "r", labeled=False)], test=1, labeled=1)
    values = made.as_dict()
    assert values["unlabeled"] == [{"id": "c", "patient": "r"}]
    assert {values["test"][0]["id"], values["labeled"][0]["id"]} == {"a", "b"}
    assert values["evaluation_hash"] == made.evaluation_hash


def test_an_unlabeled_scan_of_a_test_patient_is_left_out():
    cases = [case("a1", "a"), case("a2", "a", labeled=False), case("b1", "b")]
    made = split(cases, test=["a1"], labeled=1)
    assert made.ids() == ("b1", "a1")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labeled": ["c01"]}, ["split.labeled: there is no case 'c01'\n    Did you mean 'c011'?"]),
        ({"labeled": 0}, ["no labeled cases"]),
        ({"labeled": []}, ["no labeled cases"]),
        ({"labeled": 5, "total": 3}, ["5 labeled cases exceed the total of 3"]),
        ({"test": 6, "labeled": 9}, ["6 test + 0 validation + 9 labeled = 15", "only 10 exist"]),
        ({"test": 6, "labeled": 1, "total": 9}, ["6 test + 0 validation + 9 total = 15", "only 12 exist"]),
        ({"test": ["c005"], "labeled": ["c005"]}, ["'c005' is listed in both test and training"]),
        ({"test": ["c000"], "labeled": 1}, ["'c000' has no label"]),
        ({"labeled": ["c005", "c005"]}, ["'c005' is listed 2 times"]),
        ({"labeled": ["c005"], "total": ["c006"]}, ["'c005' is not in split.total"]),
    ],
)
def test_what_is_refused(options, words):
    with pytest.raises(DataError) as error:
        split(plain(12, unlabeled=2), **options)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_all_problems_at_once():
    with pytest.raises(DataError) as error:
        split(plain(6), test=["x", "c001"], validation=["c001", "c002"], labeled=9)
    text = str(error.value)
    assert len(error.value.problems) == 3
    assert "no case 'x'" in text
    assert "'c001' is listed in both test and validation" in text
    assert "9 labeled" in text


def test_counts_that_would_part_a_patient():
    cases = [case(f"p{p}t{t}", f"p{p}") for p in range(5) for t in range(2)]
    with pytest.raises(DataError, match="3 cases cannot be selected without splitting a patient's cases; 2 or 4 can"):
        split(cases, test=3, labeled=1)


def test_a_patient_on_two_sides():
    cases = [case("a1", "a"), case("a2", "a"), case("b"), case("c")]
    with pytest.raises(DataError, match=r"patient 'a' is in both test \('a1'\) and training \('a2'\)"):
        split(cases, test=["a1"], labeled=["a2"])
    with pytest.raises(DataError, match="of patient 'b', who was drawn for test"):
        split([case("a1", "b"), case("a2", "b"), case("c")], test=2, labeled=["a2"])


def test_ids_twice_in_a_dataset():
    with pytest.raises(DataError, match="case c000: the dataset returns it 2 times"):
        split([*plain(3), case("c000")], labeled=1)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 4), max_size=8), st.integers(0, 20))
def test_groups_add_up_wherever_some_choice_does(sizes, count):
    sums = {0}
    for size in sizes:
        sums |= {s + size for s in sums}
    chosen = choose_groups(sizes, count)
    assert (chosen is not None) == (count in sums)
    if chosen is not None:
        assert sum(sizes[i] for i in chosen) == count
        assert chosen == sorted(set(chosen))
    expected = [*sorted(s for s in sums if s < count)[-1:], *sorted(s for s in sums if s > count)[:1]]
    assert possible_sums(sizes, count) == expected
