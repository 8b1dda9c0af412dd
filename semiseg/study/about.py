"""How a study came to be: its protocol, and the machines and versions of its runs."""

import json
from collections.abc import Mapping
from typing import Any

from semiseg.report.arms import StudyResults
from semiseg.report.run_page import environment_of
from semiseg.study.folder import StudyFolder


def protocol(folder: StudyFolder, results: StudyResults, checkpoint: str) -> dict[str, str]:
    """Who was in which role and what was opened when; label to text."""
    manifest = folder.read()
    run = results.arms[0].runs[0]
    counts = run.summary["cases"]
    models = manifest["models"]
    return {
        "test and validation cases": f"{counts['test']} and {counts['validation']}, the same for all models",
        "training cases": f"{results.training_cases}; labeled sets are nested, and a total holds its labeled cases",
        "seeds": ", ".join(map(str, manifest["seeds"]))
        + "; each draws the labeled cases, weights and samples, and never the test cases",
        "weights": f"{checkpoint}; best is the lowest validation loss, never a test score",
        "test set": "opened by each run once, at its end; every later opening stands in test_openings.jsonl",
        "evaluation hash": str(manifest["evaluation_hash"]),
        "cases hashes": ", ".join(dict.fromkeys(record["cases_hash"][:12] for record in models)),
        "missing structures": results.policy,
        "unlabeled cases' labels": "are not read by training: the code has no way to them",
    }


def environment(folder: StudyFolder, results: StudyResults) -> dict[str, str]:
    """What all runs have in common, and what differs between them, in the order of the first run."""
    found = [_environment(run_path / "environment.json") for run_path in _paths(results)]
    texts = [environment_of({k: v for k, v in one.items() if k not in {"command", "started"}}) for one in found if one]
    keys = dict.fromkeys(key for one in texts for key in one)
    return {key: "; or ".join(dict.fromkeys(one.get(key, "none") for one in texts)) for key in keys}


def _paths(results: StudyResults) -> list[Any]:
    return [run.path for arm in results.arms for run in arm.runs]


def _environment(path: Any) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
