"""What is refused, what is only told, and what is written."""

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from helpers_scores import CASES, table, write_run, write_table
from scipy.stats import wilcoxon

from semiseg.comparison.compare import compare
from semiseg.errors import DataError
from semiseg.scoring.table import read_scores

VALUES = {"core": dict(zip(CASES, (0.5, 0.6, 0.7, 0.8), strict=True)), "edema": dict.fromkeys(CASES, 0.4)}


@pytest.fixture
def pair(tmp_path):
    """Writes two tables, the second changed by a function of its rows."""

    def make(change, rows=None):
        rows = table(VALUES) if rows is None else rows
        write_table(tmp_path / "one", rows)
        write_table(tmp_path / "two", change(rows))
        return [tmp_path / "one", tmp_path / "two"]

    return make


def refused(runs, **options):
    with pytest.raises(DataError) as caught:
        compare(runs, **options)
    return str(caught.value)


def each(**changes):
    return lambda rows: [replace(row, **changes) for row in rows]


class TestRefused:
    def test_other_cases(self, pair):
        runs = pair(lambda rows: [replace(r, case="z") if r.case == "c" else r for r in rows if r.case not in "ad"])
        told = refused(runs)
        assert f"{runs[0]}: lacks 1 of 5 test cases that others have: z" in told
        assert f"{runs[1]}: lacks 3 of 5 test cases that others have: a, c, d" in told

    def test_other_classes(self, pair):
        runs = pair(lambda rows: [replace(r, class_name="necrosis") if r.class_name == "edema" else r for r in rows])
        told = refused(runs)
        assert f"{runs[0]}: lacks dice of 'necrosis'" in told
        assert f"{runs[1]}: lacks dice of 'edema'" in told

    def test_a_class_that_is_a_region_elsewhere(self, pair):
        runs = pair(lambda rows: [replace(r, kind="region") if r.class_name == "edema" else r for r in rows])
        assert f"{runs[1]}: 'edema' (dice) is a region here, a class in {runs[0]}" in refused(runs)

    def test_a_row_that_is_missing(self, pair):
        runs = pair(lambda rows: rows[1:])
        assert f"{runs[1]}: lacks the row: dice of 'core' of case a" in refused(runs)

    def test_other_references_by_their_digest(self, pair):
        runs = pair(lambda rows: [replace(r, reference_digest="x") if r.case in "bd" else r for r in rows])
        assert f"{runs[1]}: 2 cases have different references than in {runs[0]}: b, d" in refused(runs)

    def test_other_references_by_their_voxels_where_a_digest_is_missing(self, pair):
        runs = pair(lambda rows: [replace(r, reference_digest="", n_reference=6) for r in rows])
        assert "4 cases have different references" in refused(runs)

    def test_other_definitions(self, pair):
        runs = pair(each(definition="Dice 2"))
        assert f"{runs[1]}: dice is Dice 2, but Dice 1 in {runs[0]}" in refused(runs)

    def test_other_versions_where_a_definition_is_missing(self, pair):
        runs = pair(each(definition=""))
        for folder, version in zip(runs, (1, 2), strict=True):
            (folder / "summary.json").write_text(json.dumps({"metric_versions": {"dice": version}}))
        assert f"{runs[1]}: dice is version 2, but version 1 in {runs[0]}" in refused(runs)

    def test_other_units(self, pair):
        rows = table(VALUES, metric="hd95", unit="mm", definition="")
        runs = pair(each(unit="voxel"), rows)
        assert f"{runs[1]}: hd95 is in voxel, but in mm in {runs[0]}" in refused(runs)

    def test_everything_at_once(self, pair):
        runs = pair(lambda rows: [replace(r, definition="Dice 2", reference_digest="x") for r in rows if r.case != "a"])
        told = refused(runs)
        assert told.startswith("3 problems:")
        for text in ("lacks 1 of 4 test cases", "3 cases have different references", "dice is Dice 2"):
            assert text in told

    def test_metrics_that_not_all_have(self, pair):
        runs = pair(each(metric="iou"))
        told = refused(runs)
        assert "No metric is in every table." in told
        assert f"{runs[1]}: has iou" in told
        told = refused(runs, metrics=["dice", "nsd"])
        assert f"{runs[1]}: has no metric 'dice'; it has iou" in told
        assert f"{runs[0]}: has no metric 'nsd'; it has dice" in told

    def test_unknown_baseline_and_policy(self, pair):
        runs = pair(each())
        assert "No method is called 'three'.\n    There are one, two." in refused(runs, baseline="three")
        assert "Unknown policy 'drop'" in refused(runs, policy="drop")


def summary(labeled=4, unlabeled=6, cases="c", evaluation="e"):
    counts = {"labeled": labeled, "unlabeled": unlabeled, "validation": 1, "test": 4}
    return {"cases": counts, "cases_hash": cases, "evaluation_hash": evaluation}


class TestTold:
    def notes(self, tmp_path, first, second):
        write_run(tmp_path / "one", summary=first)
        write_run(tmp_path / "two", phi=0.1, summary=second)
        return "\n".join(compare([tmp_path / "one", tmp_path / "two"]).notes)

    def test_numbers_of_labeled_cases(self, tmp_path):
        told = self.notes(tmp_path, summary(4, 6), summary(8, 2, cases="d"))
        assert "different numbers of labeled and total cases: one 4 of 10; two 8 of 10" in told
        assert "cases_hash" not in told

    def test_other_labeled_cases_of_the_same_number(self, tmp_path):
        assert "different sets of labeled or unlabeled cases" in self.notes(tmp_path, summary(), summary(cases="d"))

    def test_other_validation_cases(self, tmp_path):
        assert "evaluation_hash is not" in self.notes(tmp_path, summary(), summary(evaluation="f"))

    def test_nothing_but_the_single_seeds_where_all_is_alike(self, tmp_path):
        told = self.notes(tmp_path, summary(), summary()).splitlines()
        assert len(told) == 2
        assert told[0].startswith("Only one seed of one, two")
        assert told[1] == "dice: with fewer than 6 cases, no p can be below 0.05: core."

    def test_what_could_not_be_checked(self, pair):
        told = "\n".join(compare(pair(each(definition="", reference_digest=""))).notes)
        assert "checked by their number of voxels only: no digest in" in told
        assert "/two." in told
        assert "/one" not in told

    def test_metrics_that_are_left_aside(self, pair):
        runs = pair(lambda rows: rows + [replace(row, metric="iou") for row in rows])
        assert f"iou is not compared: {runs[0]} does not have it." in compare(runs).notes

    def test_numbers_of_seeds_seeds_that_are_alike_and_other_recipes(self, tmp_path):
        for name, seed, phi in (("a", 1, 0.5), ("b", 1, 0.1), ("c", 2, 0.3)):
            write_run(tmp_path / name, seed=seed, phi=phi)
        found = compare([f"x={tmp_path / 'a'}", f"x={tmp_path / 'b'}", tmp_path / "c"])
        told = "\n".join(found.notes)
        assert "different numbers of seeds: x 2, c 1" in told
        assert "The recipes of x differ in more than the seed: strategy.phi." in told
        assert "Runs of x have the same seed" in told

    def test_other_checkpoints(self, pair):
        assert "The methods are compared at different checkpoints." in compare(pair(each(checkpoint="best"))).notes

    def test_cases_that_are_undefined_for_one_side_only(self, pair):
        runs = pair(lambda rows: [replace(r, value=float("nan")) if r.case == "a" else r for r in rows])
        told = "\n".join(compare(runs).notes)
        assert "dice is undefined in some cases for some runs only" in told
        assert "core 1, edema 1" in told


class TestDirection:
    def test_lengths_are_better_where_lower_and_others_as_the_metric_declares(self, pair):
        rows = table(VALUES) + table(VALUES, metric="hd95", unit="voxel")
        found = compare(pair(each(), rows))
        assert [(m.metric, m.higher_is_better) for m in found.metrics] == [("dice", True), ("hd95", False)]

    def test_a_metric_of_a_plugin(self, pair, distribution):
        source = """
        from semiseg.interfaces.metric import Metric

        class Error(Metric):
            higher_is_better = False

            def value(self, pair):
                return 0.0
        """
        distribution("error-plugin", {"semiseg.metrics": {"error": "error_plugin:Error"}}, error_plugin=source)
        found = compare(pair(each(), table(VALUES, metric="error option=2")))
        assert not found.metrics[0].higher_is_better

    def test_a_metric_that_is_not_installed(self, pair):
        found = compare(pair(each(), table(VALUES, metric="strange")))
        assert found.metrics[0].higher_is_better
        assert "No installed metric is called 'strange': higher is assumed to be better." in found.notes


def test_files_hold_every_figure(pair, tmp_path):
    found = compare(pair(lambda rows: [replace(r, value=r.value + 0.1) for r in rows]), output=tmp_path / "out")
    written = json.loads((tmp_path / "out/compare.json").read_text())
    assert written == json.loads(json.dumps(asdict(found), allow_nan=False))
    with (tmp_path / "out/compare.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [(line["class"], line["method"]) for line in lines[:3]] == [
        ("core", "one"),
        ("core", "two"),
        ("edema", "one"),
    ]
    assert len(lines) == 3 * 2
    entry = found.metrics[0].rows[0].entries[1]
    assert (float(lines[1]["difference"]), float(lines[1]["low"]), float(lines[1]["p"])) == (
        entry.difference,
        entry.interval[0],
        entry.p,
    )
    assert lines[0]["difference"] == ""


def test_the_same_seeds_of_two_methods(tmp_path):
    for seed in (1, 2, 3):
        rows = table({"core": {case: value + seed / 100 for case, value in VALUES["core"].items()}})
        write_run(tmp_path / f"base_s{seed}", rows, seed=seed)
        write_run(tmp_path / f"new_s{seed}", [replace(r, value=r.value + 0.1) for r in rows], seed=seed, phi=0.1)
    found = compare([tmp_path / f"{name}_s{seed}" for name in ("base", "new") for seed in (1, 2, 3)])
    entry = found.metrics[0].rows[0].entries[1]
    assert [m.name for m in found.methods] == ["base", "new"]
    assert found.methods[1].seeds == (1, 2, 3)
    assert entry.seed_std == pytest.approx(0.01)
    assert entry.difference == pytest.approx(0.1)
    assert entry.interval == pytest.approx((0.1, 0.1))


class TestFolds:
    def folds(self, folder, offset=0.0, **changes):
        """Cases a and b in one table, c and d in another."""
        paths = []
        for cases in ("ab", "cd"):
            rows = [replace(r, value=r.value + offset, **changes) for r in table(VALUES) if r.case in cases]
            paths.append(write_table(folder / cases, rows))
            changes = {}
        return paths

    def test_they_are_compared_as_the_whole_is(self, tmp_path):
        runs = {"old": self.folds(tmp_path / "old"), "new": self.folds(tmp_path / "new", offset=0.1)}
        found = compare(runs)
        whole = [
            write_table(tmp_path / name, [r for p in runs[name] for r in read_scores(p / "scores.csv")])
            for name in runs
        ]
        assert found.metrics == compare({"old": whole[:1], "new": whole[1:]}).metrics
        row = found.metrics[0].rows[0]
        assert (row.name, row.n) == ("core", 4)
        assert [entry.mean for entry in row.entries] == pytest.approx([0.65, 0.75])
        assert row.entries[1].difference == pytest.approx(0.1)
        told = "\n".join(found.notes)
        assert "Runs of old have no test case in common: they are folds and count as one." in told
        assert "Only one seed of old, new" in told

    def test_what_a_method_lacks_and_folds_that_mean_other_things_are_refused(self, tmp_path):
        runs = {"old": self.folds(tmp_path / "old"), "new": self.folds(tmp_path / "new")[:1]}
        told = refused(runs)
        assert "ab: lacks 2 of 4 test cases that others have: c, d" in told
        assert "NAME=PATH" in told
        both = {
            "old": self.folds(tmp_path / "old", definition="Dice 2"),
            "new": self.folds(tmp_path / "new", definition="Dice 2"),
        }
        assert f"{tmp_path / 'old' / 'cd'}: dice is Dice 1, but Dice 2 in {tmp_path / 'old' / 'ab'}" in refused(both)


def test_published_scores_against_numpy_and_scipy():
    """The scores in docs/results, which are of real scans."""
    folder = Path(__file__).parents[3] / "docs/results/hippocampus"
    columns = {}
    for name in ("supervised", "cps"):
        with (folder / f"{name}_scores.csv").open() as file:
            chosen = [r for r in csv.DictReader(file) if (r["checkpoint"], r["metric"]) == ("last", "dice")]
        for row in chosen:
            columns.setdefault(row["class"], {}).setdefault(name, {})[row["case"]] = float(row["value"])
    found = compare([folder / "supervised_scores.csv", folder / "cps_scores.csv"], metrics=["dice"]).metrics[0]
    assert len(columns) == len(found.rows) - 1 == 2
    for row in found.rows[:-1]:
        base, new = (columns[row.name][name] for name in ("supervised", "cps"))
        differences = np.array([new[case] - base[case] for case in base])
        entry = row.entries[1]
        assert row.n == len(differences) == 50
        assert entry.difference == pytest.approx(differences.mean())
        assert entry.p == pytest.approx(wilcoxon(differences, method="exact").pvalue)
        half = 1.96 * differences.std(ddof=1) / len(differences) ** 0.5
        assert entry.interval == pytest.approx((differences.mean() - half, differences.mean() + half), abs=half / 8)


def test_distances_of_pictures_are_told_in_pixels(pair):
    from rich.console import Console

    from semiseg.comparison.show import comparison_tables

    rows = table(VALUES, metric="hd95", unit="pixel", definition="HD95 1")
    comparison = compare(pair(lambda rows: rows, rows))
    console = Console(width=120, record=True)
    console.print(*comparison_tables(comparison))
    assert "hd95 in pixels: lower is better" in console.export_text()
