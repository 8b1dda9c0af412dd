"""A study's results made for tests: arms of scores in memory."""

from pathlib import Path

from helpers_scores import score

from semiseg.comparison.read import ScoredRun
from semiseg.study_report.results import StudyArm, StudyResults


def run(values, seed=1, unit="1", metric="dice", **recipe):
    """A run with class → values of the cases 0, 1, …"""
    about = {"metric": metric, "unit": unit, "definition": f"{metric} 1"}
    scores = [
        score(str(case), value, class_name=name, **about)
        for name, row in values.items()
        for case, value in enumerate(row)
    ]
    return joined([scores], seed, **recipe)


def joined(tables, seed=1, **recipe):
    """One run of several lists of scores."""
    scores = {(s.metric, s.class_name, s.case): s for table in tables for s in table}
    return ScoredRun(Path("made"), "last", scores, {"name": "made", "seed": seed, **recipe}, {})


def arm(method, labeled, *seeds, total=None, setting="", logs=(), metric="dice", unit="1", **recipe):
    """An arm of one metric; each seed is class → values of the cases."""
    runs = tuple(run(values, seed, unit, metric, **recipe) for seed, values in enumerate(seeds, start=1))
    return StudyArm(setting, method, labeled, total or labeled, runs, logs)


def study(*arms, training_cases=1050, **more):
    """A study of these arms, with supervised as the baseline."""
    ordered = sorted(arms, key=lambda a: (a.setting, a.method, a.labeled, a.total))
    return StudyResults("made", "supervised", tuple(ordered), training_cases, **more)


def flat(value, classes=("necrosis", "edema", "enhancing"), cases=8):
    """The same value in all cases and classes, but for a small spread over cases that does not move the mean."""
    spread = [0.01 * (case - (cases - 1) / 2) for case in range(cases)]
    return {name: [value + s for s in spread] for name in classes}


def log(losses, dice, every=1):
    """Records of an epoch each, validated in every n-th."""
    records = []
    for epoch, loss in enumerate(losses, start=1):
        record = {"epoch": epoch, "train": {"loss": loss, "supervised": 0.8 * loss}}
        if epoch % every == 0:
            record["validation"] = {"loss": 1 - dice[epoch - 1], "dice": {}, "mean_dice": dice[epoch - 1]}
        records.append(record)
    return records
