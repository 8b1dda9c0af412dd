import math
from dataclasses import replace

import pytest
from helpers_study import arm, flat, study

from semiseg.study_report.figures.finding_figures import savings_of
from semiseg.study_report.findings import findings, next_labels
from semiseg.study_report.study_metric import study_metric
from semiseg.study_report.summary_json import numbers
from semiseg.study_report.tables.finding_tables import finding_tables, seeds_note
from semiseg.study_report.text.headlines import headlines
from semiseg.study_report.text.sentences import savings_sentences


def seeds(value, n=3):
    return [flat(value)] * n


@pytest.fixture
def results():
    """Supervised: 0.6, 0.7, 0.8, 0.9 with 4, 8, 16, 32 labels; CPS with 8 as supervised with 16, with 4 as with 4."""
    supervised = [arm("supervised", n, *seeds(0.1 * k)) for n, k in ((4, 6), (8, 7), (16, 8), (32, 9))]
    cps = [arm("cps", 4, *seeds(0.6), total=32), arm("cps", 8, *seeds(0.8), total=32)]
    return study(*supervised, *cps, training_cases=32)


def found_in(results):
    metric = study_metric(results, "dice")
    return metric, findings(results, metric), next_labels(results, metric)


def rows(tables, key):
    (table,) = (table for table in tables if table.key == key)
    return [[cell.text for cell in row] for row in table.rows]


def test_a_method_that_scores_like_twice_the_labels_is_worth_twice_the_labels(results):
    _, (finding,), _ = found_in(results)
    assert [savings.worth for savings in finding.savings] == pytest.approx([4, 16])
    assert finding.savings[1].curve_ends == (4, 32)


def test_the_share_of_the_gap_that_is_closed(results):
    _, (finding,), _ = found_in(results)
    assert [(gap.labeled, gap.full_labeled) for gap in finding.gaps] == [(4, 32), (8, 32)]
    assert [gap.share for gap in finding.gaps] == pytest.approx([0, 0.5])


def test_pairs_have_the_same_labels_and_power_is_of_each(results):
    _, (finding,), _ = found_in(results)
    assert [(p.baseline.labeled, p.arm.labeled) for p in finding.pairs] == [(4, 4), (8, 8)]
    assert [labeled for labeled, _, _ in finding.power] == [4, 8]
    assert [(cases.n, seeds.n) for _, cases, seeds in finding.power] == [(8, 3), (8, 3)]


def test_the_next_ten_labels_are_interpolated_and_never_extrapolated(results):
    _, _, following = found_in(results)
    supervised = next(one for one in following if one.method == "supervised")
    from_4, from_8, from_16, from_32 = supervised.values
    assert from_4.change == pytest.approx(0.1 * math.log2(14 / 4))  # 0.1 for each doubling
    assert from_8.change == pytest.approx(0.1 * math.log2(18 / 8))
    assert from_16.change == pytest.approx(0.1 * math.log2(26 / 16))
    assert from_32.change is None
    assert "not extrapolated" in from_32.reason


def test_a_case_that_lacks_one_class_counts_by_the_others():
    gone = flat(0.7)
    gone["edema"][0] = math.nan
    results = study(
        arm("supervised", 4, flat(0.6)), arm("supervised", 8, flat(0.8)), arm("cps", 4, gone, total=8), training_cases=8
    )
    _, (finding,), _ = found_in(results)
    assert finding.power[0][1].n == 8


def test_without_a_curve_or_full_labels_there_are_no_savings_and_gaps():
    results = study(arm("supervised", 4, *seeds(0.6)), arm("cps", 4, *seeds(0.7), total=32), training_cases=32)
    metric, (finding,), following = found_in(results)
    assert (finding.savings, finding.gaps, following) == ((), (), ())
    assert savings_of(results, [finding], metric) == ()
    assert [table.key for table in finding_tables(results, [finding], following, metric)] == ["power"]


def test_sentences_say_the_savings_and_the_gap(results):
    _, found, _ = found_in(results)
    said = savings_sentences(found, "supervised")
    assert said[1].startswith("cps with 8 labels is worth 16 supervised labels")
    assert said[3].startswith("cps with 8 labels closes 50 % of the gap between supervised with 8 and with 32 labels")


class TestHeadlines:
    def said(self, results):
        metric, found, _ = found_in(results)
        return headlines(results, found, metric, "last")

    def test_they_answer_in_few_sentences(self, results):
        assert self.said(results) == (
            "18 models with scores, 3 seeds, 8 test cases, last weights.",
            "Did the method help? cps compared with supervised, by Dice: better with 8; not significantly different "
            "with 4 labels (Dice 0.000 to +0.100; intervals for each count below).",
            "No control: no scored model of cps was trained on the labeled cases alone, so the effect of unlabeled "
            "cases cannot be separated from the rest of the method.",
            "How certain? 3 seeds are few: intervals understate the variation between seeds. Better and worse require "
            "p with Holm's correction over 2 comparisons below 0.05 and a 95 % interval that excludes 0.",
            "How many labels is that? cps scores like supervised with this many labels: 4 → 4.0 (4.0 to 4.0), possibly "
            "no saving; 8 → 16 (16 to 16).",
            "cps closes this share of the gap to all 32 labels: 0 % with 4 labels (0 to 0 %); 50 % with 8 labels (50 "
            "to 50 %).",
        )

    def test_cases_that_a_rule_chose_are_compared_with_random_ones(self):
        """The supervised curve is 0.1 for each doubling, and 8 chosen labels have what 16 random ones have."""
        arms = [arm("supervised", n, *seeds(v)) for n, v in ((4, 0.6), (8, 0.7), (16, 0.8))]
        chosen = arm("supervised by entropy", 8, *seeds(0.8), total=8)
        said = self.said(study(*arms, chosen, training_cases=32, rules={"supervised by entropy": "entropy"}))
        assert said[1] == (
            "Did choosing by entropy help? supervised by entropy compared with supervised, whose cases are drawn at "
            "random, by Dice: better with 8 labels (Dice +0.100; intervals for each count below)."
        )
        assert said[3] == (
            "How many random labels is that? supervised by entropy scores like supervised with this many drawn at "
            "random: 8 → 16 (16 to 16)."
        )
        with_unlabeled = arm("cps by entropy", 8, *seeds(0.8), total=32)
        said = self.said(study(*arms, with_unlabeled, training_cases=32, rules={"cps by entropy": "entropy"}))
        assert not any(line.startswith("No control") for line in said)

    def test_one_seed_is_said_to_be_one(self):
        arms = [arm("supervised", n, flat(v)) for n, v in ((4, 0.6), (8, 0.7))]
        said = self.said(study(*arms, arm("cps", 4, flat(0.65), total=8), training_cases=8))
        assert said[0] == "3 models with scores, 1 seed, 8 test cases, last weights."
        assert said[3].startswith("How certain? One seed: this applies to these networks only, and another seed may")

    def test_arms_of_one_seed_among_others_are_told(self, results):
        said = self.said(study(*results.arms, arm("other", 4, flat(0.6), total=32), training_cases=32))
        (sure,) = (line for line in said if line.startswith("How certain?"))
        assert sure.startswith("How certain? 1 to 3 seeds are few: ")
        assert "Results of one seed apply to these networks only." in sure

    def test_a_baseline_that_falls_is_said_at_once(self, results):
        fallen = [arm("supervised", n, *seeds(v)) for n, v in ((4, 0.6), (8, 0.5), (16, 0.55), (32, 0.4))]
        cps = [one for one in results.arms if one.method == "cps"]
        said = self.said(study(*fallen, *cps, training_cases=32))
        reason = "The baseline scores worse with 32 labels than with 4: a falling curve has no label savings."
        assert f"Not computed for cps: {reason}" in said
        assert not any(line.startswith("How many labels is that?") for line in said)

    def test_models_without_scores_are_named(self, results):
        said = self.said(study(*results.arms, training_cases=32, missing=("cps_4_s9",)))
        assert said[1] == "1 model without scores yet: cps_4_s9."

    def test_networks_that_the_mean_hides_are_named(self, results):
        log = [{"validation": {"networks": {"a": {"edema": 0.4}, "b": {"edema": 0.7}}}}]
        *others, last = results.arms
        said = self.said(study(*others, replace(last, logs=((), log, ())), training_cases=32))
        name = last.runs[1].name
        assert (
            "Single networks far behind the others of their run, on validation cases: "
            f"{name}: a alone reaches a Dice of only 0.40 for edema; the best network reaches 0.70."
        ) in said

    def test_many_counts_and_settings_stay_few_sentences(self):
        arms = [
            arm(method, n, *seeds(0.5 + 0.01 * k), total=99 if method == "cps" else n, setting=setting)
            for setting in ("unet", "unetr")
            for k, n in enumerate((4, 8, 16, 32))
            for method in ("supervised", "cps")
        ]
        assert len(self.said(study(*arms, training_cases=99))) == 7


def test_what_cannot_be_worked_out_is_said_and_costs_nothing_else():
    one = {name: [0.5] for name in ("necrosis", "edema", "enhancing")}
    results = study(arm("supervised", 4, one), arm("supervised", 8, one), arm("cps", 4, one, total=8), training_cases=8)
    _, (finding,), following = found_in(results)
    assert (finding.savings, finding.gaps, following) == ((), (), ())
    assert finding.not_computed
    assert any(line.startswith("Not computed for cps: ") for line in savings_sentences([finding], "supervised"))


def test_seeds_are_told_with_every_table(results):
    assert seeds_note(results).startswith("Seeds: 3. With few seeds, intervals understate")
    assert seeds_note(study(arm("supervised", 4, flat(0.5)))).startswith("Seeds: 1. With one")
    assert seeds_note(study(arm("supervised", 4, *seeds(0.5, 10)))) == "Seeds: 10."


def test_tables_have_a_row_for_each_finding_and_no_column_that_says_nothing(results):
    metric, found, following = found_in(results)
    tables = finding_tables(results, found, following, metric)
    assert [table.key for table in tables] == ["label_savings", "gap_closed", "next_labels", "power"]
    assert [row[:3] for row in rows(tables, "label_savings")] == [["cps", "4", "4.0"], ["cps", "8", "16"]]
    assert [row[4] for row in rows(tables, "gap_closed")] == ["0%", "50%"]
    assert [row[4] for row in rows(tables, "label_savings")] == ["4 and 8", "8 and 16"]
    *_, following_table, power = tables
    assert following_table.columns[-1] == "note"
    assert {row[2] for row in rows(tables, "power")} == {"test cases", "seeds"}
    assert power.columns[:2] == ("method", "labeled")
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_settings_have_a_column_where_there_are_several(results):
    both = [*results.arms, *(arm("supervised", n, *seeds(0.5), setting="unet") for n in (4, 8))]
    both.append(arm("cps", 4, *seeds(0.6), total=32, setting="unet"))
    both = study(*both, training_cases=32)
    metric, found, following = found_in(both)
    tables = finding_tables(both, found, following, metric)
    assert tables[0].columns[:2] == ("setting", "method")
    assert ["unet", "cps"] in [row[:2] for row in rows(tables, "label_savings")]


def test_the_figure_has_the_curve_and_the_savings_in_words(results):
    metric, found, _ = found_in(results)
    (figure,) = savings_of(results, found, metric)
    for words in ("0.600 with 4", "0.900 with 32", "0.800 with 8 labeled", "worth 16 labels"):
        assert words in figure.alt


def test_everything_is_in_the_record(results):
    metric, found, following = found_in(results)
    data = numbers(found, (), following, metric)
    (finding,) = data["answers"]
    assert finding["differences"][1]["difference"] == pytest.approx(0.1)
    assert [one["verdict"] for one in finding["differences"]] == [
        "not significantly different",
        "better",
    ]  # as the report says it
    assert finding["differences"][1]["p_adjusted"] == pytest.approx(2 * 2 / 2**8)
    assert finding["label_savings"][1]["worth"] == pytest.approx(16)
    assert finding["power"][0]["test_cases"]["unit"] == "test cases"
    assert {one["method"] for one in data["next_labels"]} == {"supervised", "cps"}
