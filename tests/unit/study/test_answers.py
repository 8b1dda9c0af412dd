import math

import pytest
from helpers_study import arm, flat, study

from semiseg.report.study_metric import study_metric
from semiseg.study.answer_tables import answer_tables, savings_figures
from semiseg.study.answers import answers, next_labels, record
from semiseg.study.sentences import sentences


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
    return metric, answers(results, metric), next_labels(results, metric)


def rows(tables, key):
    (table,) = (table for table in tables if table.key == key)
    return [[cell.text for cell in row] for row in table.rows]


def test_a_method_that_scores_like_twice_the_labels_is_worth_twice_the_labels(results):
    _, (answer,), _ = found_in(results)
    assert [savings.worth for savings in answer.savings] == pytest.approx([4, 16])
    assert answer.savings[1].curve_ends == (4, 32)


def test_the_share_of_the_gap_that_is_closed(results):
    _, (answer,), _ = found_in(results)
    assert [(gap.labeled, gap.full_labeled) for gap in answer.gaps] == [(4, 32), (8, 32)]
    assert [gap.share for gap in answer.gaps] == pytest.approx([0, 0.5])


def test_pairs_have_the_same_labels_and_power_is_of_each(results):
    _, (answer,), _ = found_in(results)
    assert [(p.baseline.labeled, p.arm.labeled) for p in answer.pairs] == [(4, 4), (8, 8)]
    assert [labeled for labeled, _, _ in answer.power] == [4, 8]
    assert [(cases.n, seeds.n) for _, cases, seeds in answer.power] == [(8, 3), (8, 3)]


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
    _, (answer,), _ = found_in(results)
    assert answer.power[0][1].n == 8


def test_without_a_curve_or_full_labels_there_are_no_savings_and_gaps():
    results = study(arm("supervised", 4, *seeds(0.6)), arm("cps", 4, *seeds(0.7), total=32), training_cases=32)
    metric, (answer,), following = found_in(results)
    assert (answer.savings, answer.gaps, following) == ((), (), ())
    assert savings_figures(results, [answer], metric) == ()
    assert [table.key for table in answer_tables([answer], following, metric, "supervised")] == ["power"]


def test_sentences_say_the_comparison_the_savings_and_the_gap(results):
    metric, found, _ = found_in(results)
    said = sentences(results, found, metric, "last")
    assert said[0] == "18 models with scores, last weights; Dice is the mean over classes and test cases."
    assert said[2] == (
        "With 8 labeled cases cps has 0.800, supervised 0.700: +0.100 "
        "(95 % interval +0.100 to +0.100, p 0.016): better."
    )
    assert said[4].startswith("cps with 8 labels is worth 16 supervised labels")
    assert said[6].startswith("cps with 8 labels closes 50 % of the gap between supervised with 8 and with 32 labels")


def test_models_without_scores_are_named(results):
    metric, found, _ = found_in(results)
    missing = study(*results.arms, training_cases=32, missing=("cps_4_s9",))
    assert "1 models have no scores yet: cps_4_s9." in sentences(missing, found, metric, "last")


def test_tables_have_a_row_for_each_answer_and_no_column_that_says_nothing(results):
    metric, found, following = found_in(results)
    tables = answer_tables(found, following, metric, "supervised")
    assert [table.key for table in tables] == ["label_savings", "gap_closed", "next_labels", "power"]
    assert [row[:3] for row in rows(tables, "label_savings")] == [["cps", "4", "4.0"], ["cps", "8", "16"]]
    assert [row[3] for row in rows(tables, "gap_closed")] == ["0%", "50%"]
    _, gaps, following_table, _ = tables
    assert gaps.columns[-1] != "note"
    assert following_table.columns[-1] == "note"
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_settings_have_a_column_where_there_are_several(results):
    both = [*results.arms, *(arm("supervised", n, *seeds(0.5), setting="unet") for n in (4, 8))]
    both.append(arm("cps", 4, *seeds(0.6), total=32, setting="unet"))
    metric, found, following = found_in(study(*both, training_cases=32))
    tables = answer_tables(found, following, metric, "supervised")
    assert tables[0].columns[:2] == ("setting", "method")
    assert ["unet", "cps"] in [row[:2] for row in rows(tables, "label_savings")]


def test_the_figure_has_the_curve_and_the_savings_in_words(results):
    metric, found, _ = found_in(results)
    (figure,) = savings_figures(results, found, metric)
    assert "supervised: 0.6 with 4, 0.7 with 8, 0.8 with 16, 0.9 with 32" in figure.alt
    assert "0.8 with 8 labeled, worth 16 labels" in figure.alt


def test_everything_is_in_the_record(results):
    _, found, following = found_in(results)
    data = record(found, following)
    (answer,) = data["answers"]
    assert answer["differences"][1]["difference"] == pytest.approx(0.1)
    assert answer["label_savings"][1]["worth"] == pytest.approx(16)
    assert answer["power"][0]["test_cases"]["unit"] == "test cases"
    assert {one["method"] for one in data["next_labels"]} == {"supervised", "cps"}
