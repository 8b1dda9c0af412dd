"""Tables of scores made for tests: run folders with what a comparison reads of them."""

import json
from pathlib import Path

from semiseg.comparison.methods import Method
from semiseg.comparison.read import ScoredRun
from semiseg.scoring.score_case import Score
from semiseg.scoring.table import write_scores

DIAGONAL = 100.0
RECIPE = "name: {name}\nseed: {seed}\nstrategy:\n  name: cps\n  phi: {phi}\ntraining:\n  workers: {workers}\n"
CASES = ("a", "b", "c", "d")


def score(case, value, **more):
    """A row of dice of the class core, unless told otherwise."""
    row = {"run": "", "checkpoint": "", "class_name": "core", "metric": "dice", "unit": "1", "status": "ok"}
    row |= {"n_reference": 5, "n_prediction": 5, "image_diagonal": DIAGONAL, "kind": "class"}
    row |= {"definition": "Dice 1", "reference_digest": f"reference {case}"}
    return Score(case=case, value=value, **(row | more))


def table(values, **more):
    """Rows from class → case → value."""
    return [
        score(case, value, class_name=name, **more) for name, column in values.items() for case, value in column.items()
    ]


def write_table(folder, scores, summary=None):
    """A folder as ``semiseg evaluate`` writes it."""
    write_scores(folder / "scores.csv", scores)
    if summary is not None:
        (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def write_run(folder, scores=None, *, name=None, seed=1, phi=0.5, workers=0, summary=None):
    """A run folder; by default four cases of increasing Dice."""
    scores = table({"core": dict(zip(CASES, (0.5, 0.6, 0.7, 0.8), strict=True))}) if scores is None else scores
    write_table(folder, scores, summary)
    text = RECIPE.format(name=name or folder.name, seed=seed, phi=phi, workers=workers)
    (folder / "recipe.yaml").write_text(text)
    return folder


def scored_run(scores, path="made", seed=None):
    """The run in memory."""
    recipe = {} if seed is None else {"name": path, "seed": seed}
    return ScoredRun(Path(path), "", {(s.metric, s.class_name, s.case): s for s in scores}, recipe, {})


def method(name, *runs):
    """A method in memory; each run is class → case → value, with seeds 1, 2, …"""
    return Method(name, tuple(scored_run(table(run), name, seed) for seed, run in enumerate(runs, start=1)))
