"""Folds of a cross-validation: a division of the labeled cases, apart from test and unlabeled cases."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from semiseg.data.folds import divide
from semiseg.data.split import make_split
from semiseg.errors import DataError
from semiseg.recipe import schema
from semiseg.types import Case


def case(name, patient="", labeled=True):
    return Case(name, (Path(f"{name}.nii"),), Path(f"{name}_seg.nii") if labeled else None, patient)


def plain(n, unlabeled=0):
    return [case(f"c{i:03}", labeled=i >= unlabeled) for i in range(n)]


def names(cases):
    return {c.id for c in cases}


def split(cases, draw=0, own=None, **options):
    return make_split(cases, schema.Split(**options), draw, own)


def all_folds(cases, folds, draw=0, **options):
    """The split of each fold; None if the request cannot be met."""
    try:
        return [split(cases, draw, folds=folds, fold=fold, **options) for fold in range(folds)]
    except DataError:
        return None


@st.composite
def datasets(draw):
    """Cases of patients with one to three scans, some of them without labels."""
    cases = []
    for p in range(draw(st.integers(8, 20))):
        for t in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
            cases.append(case(f"p{p}t{t}", f"p{p}", draw(st.sampled_from([True, True, True, False]))))
    return cases


requests = st.fixed_dictionaries(
    {
        "test": st.integers(0, 4),
        "labeled": st.one_of(st.integers(2, 8), st.just("all")),
        "total": st.one_of(st.integers(2, 14), st.just("all")),
        "seed": st.integers(0, 5),
    }
)


@given(datasets(), st.integers(2, 5), requests, st.integers(0, 3))
def test_folds_divide_the_labeled_cases_of_the_plain_split(cases, folds, options, draw):
    made = all_folds(cases, folds, draw, **options)
    assume(made is not None)
    whole = split(cases, draw, **{**options, "total": "all"} if options["labeled"] != "all" else options)
    assert Counter(c.id for one in made for c in one.validation) == Counter(names(whole.labeled))
    for one in made:
        assert one.test == whole.test
        assert one.unlabeled == made[0].unlabeled
        assert names(one.labeled) | names(one.validation) == names(whole.labeled)
        assert one.labeled
        assert one.validation
        assert one.n_labels == len(whole.labeled)
        assert all(c.label is not None for c in one.validation)
        assert len(one.ids()) == len(set(one.ids()))
        training = {c.patient for c in one.labeled + one.unlabeled}
        assert not training & {c.patient for c in one.validation}
        assert not {c.patient for c in one.test} & (training | {c.patient for c in one.validation})
        if options["total"] != "all" and options["labeled"] != "all":
            assert one.n_labels + len(one.unlabeled) == options["total"]


@given(st.integers(12, 30), st.integers(2, 6), st.integers(0, 5))
def test_sizes_differ_by_at_most_one_case_if_every_case_is_of_another_patient(n, folds, draw):
    made = all_folds(plain(n), folds, draw, test=3, labeled=n - 5)
    sizes = [len(one.validation) for one in made]
    assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.integers(1, 4), min_size=2, max_size=15), st.integers(2, 5))
def test_sizes_differ_by_at_most_the_cases_of_one_patient(scans, folds):
    assume(len(scans) >= folds)
    cases = [case(f"p{p}t{t}", f"p{p}") for p, n in enumerate(scans) for t in range(n)]
    made = divide(cases, folds)
    sizes = list(map(len, made))
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= max(scans)
    patients = [{name.partition("t")[0] for name in fold} for fold in made]
    assert sum(map(len, patients)) == len(scans)


def test_divide():
    cases = [case("a1", "a"), case("a2", "a"), case("b"), case("c"), case("d"), case("e")]
    assert divide(cases, 2) == (("a1", "a2", "d"), ("b", "c", "e"))


@given(st.integers(20, 30), st.integers(2, 4), st.integers(4, 10), st.integers(1, 5), st.integers(0, 3))
def test_with_more_labels_every_fold_keeps_its_cases(n, folds, labeled, more, draw):
    few = all_folds(plain(n), folds, draw, test=4, labeled=labeled)
    many = all_folds(plain(n), folds, draw, test=4, labeled=labeled + more)
    assert all(names(a.validation) <= names(b.validation) for a, b in zip(few, many, strict=True))


@given(st.integers(10, 25), st.integers(2, 4), st.integers(0, 5))
def test_new_unlabeled_cases_and_the_order_of_cases_change_no_fold(n, folds, draw):
    cases = plain(n)
    before = all_folds(cases, folds, draw, test=3, labeled=5)
    more = [case(f"new{i}", labeled=False) for i in range(4)]
    after = all_folds([*more, *cases[::-1]], folds, draw, test=3, labeled=5)
    for one, two in zip(before, after, strict=True):
        assert (one.test, one.labeled, one.validation) == (two.test, two.labeled, two.validation)
        assert names(two.unlabeled) - names(one.unlabeled) == names(more)


def test_listed_cases_are_divided_in_any_order():
    listed = ["c001", "c004", "c006", "c007"]
    one = split(plain(9), labeled=listed, test=["c002"], folds=2, fold=1)
    assert one == split(plain(9), labeled=listed[::-1], test=["c002"], folds=2, fold=1)
    assert names(one.labeled + one.validation) == set(listed)
    assert len(one.validation) == 2
    assert names(one.unlabeled) == {"c000", "c003", "c005", "c008"}


def test_another_draw_is_another_division_of_the_same_cases():
    options = {"labeled": "all", "test": 4, "folds": 5, "fold": 0}
    one, two = (split(plain(24), draw, **options) for draw in (0, 1))
    assert one.evaluation_hash == two.evaluation_hash
    assert names(one.validation) != names(two.validation)
    assert names(one.validation + one.labeled) == names(two.validation + two.labeled)


def test_folds_are_compared_on_the_test_cases_alone():
    made = all_folds(plain(20), 4, test=5, labeled=8)
    assert {one.evaluation_hash for one in made} == {split(plain(20), test=5, labeled=3).evaluation_hash}
    assert {one.test for one in made} == {split(plain(20), test=5, labeled=3, validation=2).test}
    assert len({one.cases_hash for one in made}) == 4
    assert split(plain(20), test=6, labeled=8, folds=4, fold=0).evaluation_hash != made[0].evaluation_hash


def test_split_json_has_the_fold():
    values = split(plain(9), labeled=6, folds=3, fold=2).as_dict()
    assert (values["folds"], values["fold"]) == (3, 2)
    assert len(values["validation"]) == 2
    assert "fold" not in split(plain(9), labeled=6).as_dict()


def test_unlabeled_scans_of_labeled_patients_are_left_out_and_named():
    cases = [*(case(f"p{p}", f"p{p}") for p in range(4)), case("p1b", "p1", labeled=False), case("x", labeled=False)]
    made = split(cases, labeled="all", folds=2, fold=0)
    assert names(made.unlabeled) == {"x"}
    assert made.fold.notes == (
        "1 unlabeled case is not used, because labeled cases of the same patient are validated: p1b",
    )
    with pytest.raises(
        DataError, match=r"6 cases requested, but only 5 \(without 1 of patients with labels\) are left"
    ):
        split(cases, labeled=4, total=6, folds=2, fold=0)


def test_known_values():
    """The same on every machine, today and in a year."""
    made = all_folds(plain(12), 3, draw=1, test=2, labeled=6)
    assert [sorted(names(one.validation)) for one in made] == KNOWN


KNOWN = [["c005", "c009"], ["c002", "c006"], ["c004", "c011"]]


def test_a_dataset_s_own_folds():
    own = (("c000", "c003"), ("c001", "c004"), ("c002",))
    made = [split(plain(7), own=own, labeled="all", test=["c006"], folds="dataset", fold=k) for k in range(3)]
    assert [names(one.validation) for one in made] == [{"c000", "c003"}, {"c001", "c004"}, {"c002"}]
    assert names(made[0].labeled) == {"c001", "c002", "c004", "c005"}
    assert made[0].fold.notes == ("1 labeled case is in no fold and is never validated: c005",)
    assert made[2].as_dict()["folds"] == 3


def test_test_cases_stay_apart_from_a_dataset_s_own_folds():
    own = (("c000", "c001"), ("c002", "c003"))
    made = split(plain(4), own=own, test=["c001"], labeled="all", folds="dataset", fold=0)
    assert [names(cases) for cases in (made.test, made.validation, made.labeled)] == [
        {"c001"},
        {"c000"},
        {"c002", "c003"},
    ]


@pytest.mark.parametrize(
    ("own", "fold", "labeled", "words"),
    [
        (None, 0, "all", ["split.folds: the dataset has no folds of its own"]),
        (
            (("c000",), ("c001", "x", "y")),
            0,
            "all",
            ["fold 1 of the dataset has cases that the dataset does not return: x, y"],
        ),
        ((("c000",), ("c001",)), 2, "all", ["split.fold: there is no fold 2: the dataset's folds are 0 to 1"]),
        ((("c000",), ("c001",)), 0, ["c001", "c002"], ["fold 0 of the dataset has none of the recipe's labeled cases"]),
        ((("c000", "c001"), ("c002",)), 0, ["c000", "c001"], ["fold 0 of the dataset has all of"]),
        ((("c000",), ("z",)), 7, "all", ["does not return: z", "there is no fold 7"]),
    ],
)
def test_own_folds_that_are_refused(own, fold, labeled, words):
    with pytest.raises(DataError) as error:
        split(plain(5), own=own, labeled=labeled, folds="dataset", fold=fold)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_own_folds_that_part_a_patient_are_refused():
    cases = [case("a1", "a"), case("a2", "a"), case("b")]
    with pytest.raises(DataError, match=r"patient 'a' is in fold 0 of the dataset \('a1'\) and outside it \('a2'\)"):
        split(cases, own=(("a1",), ("a2", "b")), labeled="all", folds="dataset", fold=0)


def test_more_folds_than_patients_are_refused():
    cases = [case("a1", "a"), case("a2", "a"), case("b"), case("c")]
    with pytest.raises(DataError, match="4 folds need as many patients, but the labeled cases are of 3 patients"):
        split(cases, labeled="all", folds=4, fold=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fold": 1}, "fold is set without folds"),
        ({"folds": 5}, "folds is set without fold"),
        ({"folds": 5, "fold": 5}, "there is no fold 5: 5 folds are counted from 0 to 4"),
        ({"folds": 5, "fold": 0, "validation": 2}, "set validation to 0 or leave it out"),
        ({"folds": 5, "validation": ["a"]}, "set without fold.*set validation to 0"),
        ({"folds": 1, "fold": 0}, "greater than or equal to 2"),
    ],
)
def test_recipes_that_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        schema.Split(labeled=8, **options)


def test_a_recipe_without_folds_is_written_as_before():
    assert not {"folds", "fold"} & set(schema.Split(labeled=8).model_dump())
    assert schema.Split(labeled=8, validation=[], folds="dataset", fold=7).model_dump()["fold"] == 7
