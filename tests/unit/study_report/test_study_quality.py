"""Expected against true Dice in the report of a study."""

from dataclasses import replace

import pytest
from helpers_study import arm, flat, study

from semiseg.quality.expected import Quality
from semiseg.quality.held_out import Compared, write_compared
from semiseg.study_report.quality import quality_section


def rows(error):
    values = [0.5, 0.6, 0.7, 0.8]
    return [
        Compared(Quality(str(i), "edema", v, v - 0.1, v + 0.1, v, 1.0, ""), v + error) for i, v in enumerate(values)
    ]


def placed(given, tmp_path, *tables, **summary):
    """The arm, with the runs in folders that have these tables of expected Dice, by checkpoint."""
    runs = []
    for number, (run, table) in enumerate(zip(given.runs, tables, strict=True)):
        path = tmp_path / f"{given.method}{number}"
        path.mkdir()
        if table:
            write_compared(path / "quality.csv", table)
        runs.append(replace(run, path=path, summary=summary))
    return replace(given, runs=tuple(runs))


def test_an_arm_has_the_means_over_its_models(tmp_path):
    one = placed(
        arm("supervised", 4, flat(0.5), flat(0.6)), tmp_path, {"last": rows(0.05)}, {"last": rows(0.15), "best": []}
    )
    other = placed(arm("cps", 4, flat(0.5), total=32), tmp_path, {})
    section = quality_section(study(one, other))
    (table,), (figure,) = section.tables, section.figures
    assert table.columns[:5] == ("method", "class", "labeled", "cases in all", "seeds")
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["supervised", "edema", "4", "4", "2", "8", "1.00", "0.100", "0.50", "0.200", "0"]
    ]
    assert "edema: 8 cases, 4 with the true Dice within the interval" in figure.alt


@pytest.mark.parametrize(("same", "shown"), [(True, True), (False, False)])
def test_best_weights_that_are_the_last_have_their_rows_as_last(tmp_path, same, shown):
    given = placed(arm("supervised", 4, flat(0.5)), tmp_path, {"last": rows(0)}, best_is_last=same)
    given = replace(given, runs=(replace(given.runs[0], checkpoint="best"),))
    assert (quality_section(study(given)) is not None) == shown


def test_without_tables_there_is_no_section_and_damaged_ones_are_named(tmp_path):
    given = placed(arm("supervised", 4, flat(0.5)), tmp_path, {})
    assert quality_section(study(given)) is None
    damaged = given.runs[0].path / "quality.csv"
    damaged.write_text("a,b\n1,2\n")
    assert quality_section(study(given)).text == (f"No table of expected Dice: {damaged} cannot be read.",)
