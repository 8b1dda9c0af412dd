"""Which runs are one method, and what it is called."""

import pytest
from helpers_scores import CASES, table, write_run, write_table

from semiseg.comparison.methods import read_methods
from semiseg.comparison.read import read_run
from semiseg.errors import DataError

FOUR = {"core": dict.fromkeys(CASES, 0.5)}


def grouped(*arguments, **options):
    return {m.name: [run.path.name for run in m.runs] for m in read_methods(arguments, **options)}


def test_runs_that_differ_in_the_seed_are_one_method(tmp_path):
    for name, seed, phi, workers in (("cps_s2", 2, 0.5, 0), ("cps_s1", 1, 0.5, 4), ("weak_s1", 1, 0.1, 0)):
        write_run(tmp_path / name, seed=seed, phi=phi, workers=workers)
    found = read_methods([tmp_path / "cps_s2", tmp_path / "cps_s1", tmp_path / "weak_s1"])
    assert [(m.name, m.seeds) for m in found] == [("cps", (1, 2)), ("weak_s1", (1,))]


def test_a_recipe_s_name_is_the_method_s(tmp_path):
    write_run(tmp_path / "one", name="strong", phi=0.9)
    write_run(tmp_path / "two", name="weak", phi=0.1)
    write_run(tmp_path / "three", name="weak", phi=0.1, seed=2)
    found = grouped(tmp_path / "one", tmp_path / "two", tmp_path / "three")
    assert found == {"strong": ["one"], "weak": ["two", "three"]}


def test_folders_tell_apart_what_recipes_do_not(tmp_path):
    write_run(tmp_path / "cps_strong", name="cps", phi=0.9)
    write_run(tmp_path / "cps_weak", name="cps", phi=0.1)
    assert list(grouped(tmp_path / "cps_strong", tmp_path / "cps_weak")) == ["cps_strong", "cps_weak"]


def test_paths_tell_apart_what_folders_do_not(tmp_path):
    for place, phi in (("x", 0.9), ("y", 0.1)):
        write_run(tmp_path / place / "cps", phi=phi)
    assert list(grouped(tmp_path / "x/cps", tmp_path / "y/cps")) == [str(tmp_path / "x/cps"), str(tmp_path / "y/cps")]


@pytest.mark.parametrize(
    ("names", "method"),
    [
        (("cps_s1", "cps_s2"), "cps"),
        (("cps-seed1", "cps-seed2"), "cps"),
        (("cps1", "cps2"), "cps"),
        (("abs1", "abs2"), "abs"),
        (("first", "second"), "first"),
    ],
)
def test_names_of_seeds(tmp_path, names, method):
    for seed, name in enumerate(names):
        write_run(tmp_path / name, seed=seed)
    write_run(tmp_path / "other", phi=0.1)
    assert next(iter(grouped(*(tmp_path / name for name in names), tmp_path / "other"))) == method


def test_tables_from_elsewhere_are_called_by_folder_or_file(tmp_path):
    write_table(tmp_path / "nnunet", table(FOUR))
    write_table(tmp_path / "raw", table(FOUR))
    (tmp_path / "raw/scores.csv").rename(tmp_path / "monai.csv")
    write_run(tmp_path / "cps")
    found = grouped(tmp_path / "nnunet/scores.csv", tmp_path / "monai.csv", tmp_path / "cps/scores.csv")
    assert list(found) == ["nnunet", "monai", "cps"]


def test_names_given(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", phi=0.1)
    write_table(tmp_path / "c=d", table(FOUR))
    found = grouped(f"mine={tmp_path / 'a'}", f"mine={tmp_path / 'b'}", str(tmp_path / "c=d"))
    assert found == {"mine": ["a", "b"], "c=d": ["c=d"]}
    as_table = read_methods({"mine": [tmp_path / "a", tmp_path / "b"], "other": [tmp_path / "c=d"]})
    assert [(m.name, len(m.runs)) for m in as_table] == [("mine", 2), ("other", 1)]


def test_a_run_beside_itself_under_two_names(tmp_path):
    write_run(tmp_path / "a")
    assert grouped(f"x={tmp_path / 'a'}", f"y={tmp_path / 'a'}") == {"x": ["a"], "y": ["a"]}
    with pytest.raises(DataError, match=r"a: is given twice\n.*A=PATH B=PATH"):
        grouped(tmp_path / "a", f"{tmp_path}/../{tmp_path.name}/a")


def test_one_method_is_nothing_to_compare(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", seed=2)
    with pytest.raises(DataError, match="All runs are of one method, 'a': only the seed differs"):
        grouped(tmp_path / "a", tmp_path / "b")
    with pytest.raises(DataError, match="All runs are of one method, 'mine', by the names given"):
        grouped(f"mine={tmp_path / 'a'}", f"mine={tmp_path / 'b'}")
    with pytest.raises(DataError, match="There is nothing to compare"):
        grouped()


def test_a_name_that_is_taken(tmp_path):
    write_run(tmp_path / "a")
    with pytest.raises(DataError, match=r"Two methods would be called '.*a'.\n.*NAME=PATH"):
        read_methods([f"{tmp_path / 'a'}={write_run(tmp_path / 'b', phi=0.1)}", tmp_path / "a", f"a={tmp_path / 'b'}"])


class TestFolds:
    """Folds a and b, c and d of two methods, and of two seeds of the first."""

    def write(self, tmp_path, name, cases, seed=1, phi=0.5, offset=0.0):
        rows = table({"core": {case: 0.5 + 0.1 * CASES.index(case) + offset for case in cases}}, run=name)
        write_run(tmp_path / name, rows, seed=seed, phi=phi)
        recipe = tmp_path / name / "recipe.yaml"
        recipe.write_text(recipe.read_text() + f"split: {{test: [{', '.join(cases)}]}}\n")
        return tmp_path / name

    def test_runs_that_share_the_test_cases_between_them_are_one_method_and_one_table(self, tmp_path):
        for seed in (1, 2):
            for fold, cases in (("f0", "ab"), ("f1", "cd")):
                self.write(tmp_path, f"cps_s{seed}_{fold}", cases, seed)
                self.write(tmp_path, f"weak_s{seed}_{fold}", cases, seed, phi=0.1)
        found = read_methods([path for path in sorted(tmp_path.iterdir()) if path.is_dir()])
        assert [(m.name, len(m.runs), m.seeds) for m in found] == [("cps", 4, (1, 2)), ("weak", 4, (1, 2))]
        for method in found:
            assert [sorted(case for _, _, case in one.scores) for one in method.tables] == [list(CASES)] * 2
            assert [{score.run[-1] for score in one.scores.values()} for one in method.tables] == [{"0", "1"}] * 2

    def test_each_fold_with_a_seed_of_its_own_under_a_name(self, tmp_path):
        folds = [self.write(tmp_path, f"{name}", cases, seed) for name, cases, seed in (("x", "ab", 1), ("y", "cd", 2))]
        write_run(tmp_path / "whole", phi=0.1)
        found = read_methods({"folds": folds, "whole": [tmp_path / "whole"]})
        assert [m.seeds for m in found] == [(1,), (1,)]
        assert found[0].tables[0].scores.keys() == found[1].tables[0].scores.keys()

    def test_other_splits_with_a_test_case_in_common_are_other_methods(self, tmp_path):
        folders = [self.write(tmp_path, name, cases) for name, cases in (("x", "abc"), ("y", "cd"))]
        assert [len(m.tables) for m in read_methods(folders)] == [1, 1]

    def test_a_joined_table_of_folds(self, tmp_path):
        rows = [
            row
            for name, cases in (("f0", "ab"), ("f1", "cd"))
            for row in table({"core": dict.fromkeys(cases, 0.5)}, run=name)
        ]
        scores = read_run(write_table(tmp_path / "joined", rows)).scores
        assert [case for _, _, case in scores] == list(CASES)


class TestCheckpoints:
    def two(self, folder):
        rows = table({"core": {"a": 0.5}}, checkpoint="last") + table({"core": {"a": 0.9}}, checkpoint="best")
        return write_table(folder, rows)

    def test_last_unless_told_otherwise(self, tmp_path):
        folder = self.two(tmp_path / "run")
        assert read_run(folder).scores["dice", "core", "a"].value == 0.5
        assert read_run(folder, "best").scores["dice", "core", "a"].value == 0.9

    def test_the_only_one(self, tmp_path):
        write_table(tmp_path / "foreign", table(FOUR))
        assert read_run(tmp_path / "foreign", "best").checkpoint == ""
        write_table(tmp_path / "best", table(FOUR, checkpoint="best"))
        assert read_run(tmp_path / "best").checkpoint == "best"

    def test_one_that_is_not_there(self, tmp_path):
        write_table(tmp_path / "run", table(FOUR, checkpoint="last"))
        with pytest.raises(DataError, match="has no scores of the checkpoint 'best'; it has last"):
            read_run(tmp_path / "run", "best")


def test_all_tables_that_cannot_be_read_are_told(tmp_path):
    (tmp_path / "empty").mkdir()
    write_table(tmp_path / "none", [])
    write_table(tmp_path / "twice", table(FOUR) + table(FOUR))
    write_table(tmp_path / "mixed", table(FOUR, run="x") + table(FOUR, run="y"))
    write_run(tmp_path / "broken")
    (tmp_path / "broken/recipe.yaml").write_text("name: [")
    write_table(tmp_path / "cut", table(FOUR))
    (tmp_path / "cut/summary.json").write_text("{")
    names = ["nowhere", "empty", "none", "twice", "mixed", "broken", "cut"]
    with pytest.raises(DataError) as caught:
        read_methods([tmp_path / name for name in names])
    told = str(caught.value)
    for text in (
        "nowhere: there is no such file or folder",
        "empty: contains no scores.csv",
        "none: contains no scores",
        "twice: dice of core of case a occurs 2 times",
        "mixed: contains scores of 2 runs: 'x', 'y'; some cases twice: a, b, c, d",
        "broken/recipe.yaml",
        "cut/summary.json: cannot be read",
    ):
        assert text in told
