"""Results of a study: the scores of every model that has some, grouped by setting, method and cases."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from semiseg.comparison.read import ScoredRun, read_run
from semiseg.errors import DataError, Problem, SemisegError, raise_all
from semiseg.scoring.score_case import Score
from semiseg.scoring.table import read_scores
from semiseg.study.folder import StudyFolder
from semiseg.study.published import find_published, load_published
from semiseg.study_report.results import StudyArm, StudyResults

ArmKey = tuple[str, str, int, int]


def read_tables(folder: StudyFolder) -> dict[str, list[Score]]:
    """Return the scores of every finished model, for both checkpoints, by the name of its run.

    Tables that cannot be read are left out; ``collect`` reports the reason.
    """
    found = {}
    for name in dict.fromkeys(record["run"] for record in folder.read()["models"]):
        run = folder.run(name)
        if run.summary.exists():
            with suppress(SemisegError):
                found[name] = read_scores(run.scores)
    return found


def collect(folder: StudyFolder, checkpoint: str, tables: Mapping[str, Sequence[Score]] | None = None) -> StudyResults:
    """Return the results of a study's finished models, with the weights ``last`` or ``best``.

    ``tables`` are those of ``read_tables``, if read before. Models without scores, or whose scores cannot be read, are
    listed in ``missing``, with the reason. Raises RunError if the folder contains no study; DataError, with all
    problems, if scores come from other cases than the study's or from another recipe, or if there are none.
    """
    manifest = folder.read()
    found: dict[ArmKey, list[tuple[ScoredRun, Sequence[Mapping[str, Any]]]]] = {}
    problems: list[Problem] = []
    missing = [f"{name} (its cases are not chosen: {after} has no scores)" for name, after in _waiting(manifest)]
    for record in manifest["models"]:
        run = folder.run(record["run"])
        if not run.summary.exists():
            missing.append(record["name"])
            continue
        try:
            scored = read_run(run.path, checkpoint, (tables or {}).get(record["run"]))
        except SemisegError as error:
            missing.append(f"{record['name']} ({error.problems[0].what})")
            continue
        if not isinstance(_policy(scored), str):
            missing.append(f"{record['name']} (its summary.json is not what semiseg wrote: no scores.policy)")
            continue
        problems += _other(scored, record)
        key = record["setting"], record["method"], record["labeled"], record["total"]
        found.setdefault(key, []).append((scored, run.log_records()))
    raise_all(problems, DataError)
    if not found:
        fix = "`semiseg study run` trains and scores them."
        raise DataError(f"No model of {folder.path} has scores: {', '.join(missing)}.", fix)
    name = manifest["published"]
    published = load_published(find_published(name, folder.path, str(folder.manifest))) if name else None
    return StudyResults(
        manifest["name"],
        manifest["baseline"],
        tuple(_arm(key, runs) for key, runs in sorted(found.items(), key=_order(manifest))),
        manifest["training_cases"],
        _policy(next(iter(found.values()))[0][0]),
        tuple(missing),
        published,
        {one["method"]: one["acquisition"]["rule"]["name"] for one in manifest["models"] if "acquisition" in one},
    )


def _waiting(manifest: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    waiting: Mapping[str, str] = manifest.get("waiting", {})
    return waiting.items()


def _policy(scored: ScoredRun) -> Any:
    scores = scored.summary.get("scores")
    return scores.get("policy") if isinstance(scores, Mapping) else None


def _other(scored: ScoredRun, record: Mapping[str, Any]) -> list[Problem]:
    where = str(Path(scored.path))
    return [
        Problem(where, f"has the {key} {scored.summary.get(key)}, the study {record[key]}", "Run this model again.")
        for key in ("evaluation_hash", "cases_hash", "recipe_hash")
        if scored.summary.get(key) != record[key]
    ]


def _arm(key: ArmKey, runs: Sequence[tuple[ScoredRun, Sequence[Mapping[str, Any]]]]) -> StudyArm:
    ordered = sorted(runs, key=lambda pair: (pair[0].seed or 0, pair[0].fold or 0, str(pair[0].path)))
    return StudyArm(*key, tuple(run for run, _ in ordered), tuple(log for _, log in ordered))


def _order(manifest: Mapping[str, Any]) -> Any:
    """Return a sort key: settings and methods in the order of the study recipe, baseline first; then by cases."""
    settings = list(dict.fromkeys(record["setting"] for record in manifest["models"]))
    named = [record["method"] for record in manifest["models"]]
    methods = list(dict.fromkeys([manifest["baseline"], *named]))

    def place(item: tuple[ArmKey, Any]) -> tuple[int, int, int, int]:
        setting, method, labeled, total = item[0]
        return settings.index(setting), methods.index(method), labeled, total

    return place
