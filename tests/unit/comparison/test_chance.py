"""Which models count as untrained: hand-made scores, real ones, and what a comparison notes."""

import math
from collections import defaultdict
from pathlib import Path

import pytest
from helpers_scores import score, scored_run, table, write_run

from semiseg.comparison.chance import are_untrained, foreground_dice
from semiseg.comparison.compare import compare
from semiseg.scoring.table import read_scores

RESULTS = Path(__file__).parents[3] / "docs/results"


def run(values, **more):
    return scored_run(table({name: dict(enumerate(row)) for name, row in values.items()}, **more))


def test_dice_is_averaged_over_cases_then_over_classes():
    assert foreground_dice(run({"a": [0.2, 0.4], "b": [0.0, 0.2]})) == pytest.approx(0.2)


def test_structures_that_the_reference_lacks_do_not_count():
    """Where nothing is to be found, some conventions give 1 for nothing: an untrained model would pass by it."""
    empty = score("c", 1.0, status="both_empty", n_reference=0, n_prediction=0)
    assert are_untrained([scored_run([score("a", 0.0), score("b", 0.05), empty])])


def test_a_missed_structure_counts_0_whatever_a_convention_makes_of_it():
    found = [score("a", math.nan, status="missed", n_prediction=0), score("b", 0.18)]
    assert are_untrained([scored_run(found)])


def test_regions_count_where_there_is_no_class():
    whole = score("a", 0.6, class_name="whole", kind="region")
    assert foreground_dice(scored_run([whole])) == 0.6
    assert foreground_dice(scored_run([whole, score("a", 0.05)])) == 0.05


def test_all_runs_have_to_be_at_chance():
    low, high = run({"a": [0.1]}), run({"a": [0.11]})
    assert are_untrained([low, low])
    assert not are_untrained([low, high])


def test_without_dice_nothing_is_said():
    distance = run({"a": [3.0]}, metric="hd95", unit="mm")
    assert foreground_dice(distance) is None
    assert not are_untrained([distance])
    assert not are_untrained([distance, run({"a": [0.0]})])


@pytest.mark.parametrize("name", ["study", "dice_ce"])
def test_every_model_of_the_published_studies_has_learned(name):
    """Otherwise their reports would not be what they are."""
    models = defaultdict(list)
    for row in read_scores(RESULTS / "hippocampus" / name / "scores.csv"):
        if row.metric == "dice":
            models[row.run, row.checkpoint].append(row)
    assert len(models) > 20
    assert min(foreground_dice(scored_run(rows)) for rows in models.values()) > 0.7


def test_a_comparison_of_runs_that_have_not_learned_says_so(tmp_path):
    def compared(first, second):
        folders = []
        for name, value in (("a", first), ("b", second)):
            folder = tmp_path / f"{name}{value}"
            folder.mkdir()
            scores = table({"core": {str(case): value + case / 1000 for case in range(8)}})
            folders.append(f"{name}={write_run(folder, scores)}")
        return compare(folders)

    def verdicts(result):
        return {entry.verdict for metric in result.metrics for row in metric.rows for entry in row.entries}

    said = (
        "No model here has learned to segment: the best, b, has a Dice of 0.08 (up to 0.1 may be chance). "
        "No conclusions are drawn. Train longer."
    )
    untrained, trained = compared(0.02, 0.08), compared(0.03, 0.2)
    assert untrained.notes[0] == said
    assert not any("learned" in note for note in trained.notes)
    assert (verdicts(untrained), verdicts(trained)) == ({""}, {"", "better"})
