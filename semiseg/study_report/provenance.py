"""Provenance of a study: its protocol, and the machines and versions of its runs."""

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from semiseg.render.run_page import environment_of
from semiseg.study.folder import StudyFolder
from semiseg.study_report.results import StudyResults


def protocol(folder: StudyFolder, results: StudyResults, checkpoint: str) -> dict[str, str]:
    """Return the cases per role and the openings of test cases; label to text."""
    manifest = folder.read()
    run = results.arms[0].runs[0]
    counts = run.summary["cases"]
    models = manifest["models"]
    evaluation = {"test and validation cases": f"{counts['test']} and {counts['validation']}, the same for all models"}
    if results.folds:
        folds = ", ".join(map(str, results.folds))
        evaluation = {
            "number of test cases": f"{counts['test']}, the same for all models",
            "validation cases": f"one fold of the labeled cases of each model; folds {folds}",
        }
    return {
        **evaluation,
        "training cases": f"{results.training_cases}; labeled sets are nested, and a total includes its labeled cases",
        "seeds": ", ".join(map(str, manifest["seeds"]))
        + "; each draws the labeled cases, weights and samples, and never the test cases",
        "weights": f"{checkpoint}; "
        + ("best is the lowest validation loss, never a test score" if counts["validation"] else "best is the last"),
        "test cases": "not accessible to training (before it, their files are checked for integrity); a run "
        f"predicts and scores them at its end. Openings in the runs' test_openings.jsonl: {openings(results)}",
        "evaluation hash": str(manifest["evaluation_hash"]),
        "cases hashes": ", ".join(dict.fromkeys(record["cases_hash"][:12] for record in models)),
        "missing structures": results.policy,
        "unlabeled cases' labels": "not read by training: the code has no access to them",
    }


def openings(results: StudyResults) -> str:
    """Return how often the runs' test cases were opened, by purpose: ``run 27, study report 2``."""
    found: Counter[str] = Counter()
    for path in _paths(results):
        file = path / "test_openings.jsonl"
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []:
            with suppress(ValueError, AttributeError):  # a damaged line must not prevent the report
                found[str(json.loads(line).get("purpose", "unknown"))] += 1
    return ", ".join(f"{purpose} {times}" for purpose, times in found.items()) or "none"


def environment(folder: StudyFolder, results: StudyResults) -> dict[str, str]:
    """Return what all runs have in common, and the values that differ, in the order of the first run."""
    found = [_environment(run_path / "environment.json") for run_path in _paths(results)]
    texts = [environment_of({k: v for k, v in one.items() if k not in {"command", "started"}}) for one in found if one]
    keys = dict.fromkeys(key for one in texts for key in one)
    return {key: "; or ".join(dict.fromkeys(one.get(key, "none") for one in texts)) for key in keys}


def _paths(results: StudyResults) -> list[Path]:
    return [run.path for arm in results.arms for run in arm.runs]


def _environment(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
