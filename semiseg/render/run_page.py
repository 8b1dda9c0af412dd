"""The report of one run: its scores, training curves and worst cases."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from semiseg.render import cells
from semiseg.render.case_scores import case_scores
from semiseg.render.document import Cell, Page, Section, Table, ViewedCase
from semiseg.render.training_curves import TrainingLogs, run_figure
from semiseg.runs.lagging_networks import behind, each_network
from semiseg.scoring.ignored import ignored_note
from semiseg.scoring.same_weights import sentence, shown
from semiseg.scoring.score_case import Score
from semiseg.types import UNIT_NAMES

_COLUMNS = ("metric", "class", "n", "mean", "std", "95 % interval", "median", "missed", "spurious", "in neither")


def run_page(
    summary: Mapping[str, Any],
    scores: Sequence[Score],
    log: Sequence[Mapping[str, Any]],
    cases: Sequence[ViewedCase],
    classes: tuple[str, ...],
    about: Mapping[str, str],
    environment: Mapping[str, Any],
    further: Sequence[Section] = (),
) -> Page:
    """Return the page of a run.

    Args:
        summary: content of summary.json.
        scores: scores of all checkpoints.
        log: records of log.jsonl.
        cases: worst cases, worst first.
        classes: names by index, background first.
        about: main settings of the recipe, label to text; they open the protocol.
        environment: content of environment.json.
        further: sections after the scores.
    """
    labeled, unlabeled = summary["cases"]["labeled"], summary["cases"]["unlabeled"]
    figure = run_figure(TrainingLogs(about.get("strategy", "run"), labeled, labeled + unlabeled, (log,)))
    checkpoints = summary["scores"]["checkpoints"]
    titles = shown(checkpoints, summary.get("best_is_last", False))
    tables = tuple(_table(name, title, checkpoints[name]) for name, title in titles.items())
    networks = _networks(each_network(log), classes)
    sections = (
        Section("Scores", tuple(filter(None, (sentence(summary), ignored_note(summary["scores"])))), tables),
        *further,
        Section("Training", tables=networks, figures=() if figure is None else (figure,)),
    )
    return Page(
        title=f"Run {summary['name']}",
        summary=(*_sentences(summary, titles), *(f"On the validation cases, {one}." for one in behind(log))),
        sections=sections,
        scores=case_scores(replace(s, checkpoint=titles[s.checkpoint]) for s in scores if s.checkpoint in titles),
        cases=cases,
        classes=classes,
        protocol={**about, **protocol_of(summary)},
        environment=environment_of(environment),
    )


def protocol_of(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the number of cases per role, and the hashes that identify cases, recipe and weights."""
    counts = summary["cases"]
    return {
        "cases": ", ".join(f"{count} {role}" for role, count in counts.items()),
        "evaluation hash": str(summary["evaluation_hash"]),
        "cases hash": str(summary["cases_hash"]),
        "recipe hash": str(summary["recipe_hash"]),
        "seed": str(summary["seed"]),
        "test cases": "opened after the last and the best weights were written; test_openings.jsonl lists every "
        "opening by a run or a study's report",
        "weights": ", ".join(f"{name} {digest[:12]}" for name, digest in summary["weights"].items()),
        "missing structures": str(summary["scores"]["policy"]),
    }


def environment_of(environment: Mapping[str, Any]) -> dict[str, str]:
    """Return environment.json as labels and texts."""
    values = {key: value for key, value in environment.items() if value not in (None, [], "")}
    packages, resumed = values.pop("packages", {}), values.pop("resumed", [])
    texts = {key.replace("_", " "): _joined(value) for key, value in values.items()}
    if resumed:
        texts["resumed with"] = "; then ".join(resumed)
    return {**texts, "packages": ", ".join(f"{name} {version}" for name, version in packages.items())}


def _joined(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _sentences(summary: Mapping[str, Any], titles: Mapping[str, str]) -> list[str]:
    said = []
    for checkpoint, title in titles.items():
        for metric, block in summary["scores"]["checkpoints"][checkpoint].items():
            whole = block["foreground"]
            if whole["mean"] is None:
                continue
            digits = 3 if block["unit"] == "1" else 2
            unit = "" if block["unit"] == "1" else f" {UNIT_NAMES.get(block['unit'], block['unit'])}"
            low, high = whole["interval"] or (None, None)
            text = f"{metric}, {title} weights: {whole['mean']:.{digits}f}{unit}"
            if low is not None:
                text += f" (95 % interval {low:.{digits}f} to {high:.{digits}f})"
            said.append(f"{text}, averaged over the classes of {summary['cases']['test']} test cases.")
    return said


def _table(checkpoint: str, title: str, metrics: Mapping[str, Any]) -> Table:
    rows = []
    for metric, block in metrics.items():
        parts = {**block["classes"], **block.get("regions", {})}
        rows += [_row(metric, name, part, block["unit"]) for name, part in parts.items()]
    notes = ("n: values in the mean. Intervals: bootstrap over cases.",)
    return Table(f"scores_{checkpoint}", f"{title} weights", _COLUMNS, tuple(rows), notes, 2)


def _networks(networks: Mapping[str, Mapping[str, float | None]], classes: Sequence[str]) -> tuple[Table, ...]:
    """Return a table if several networks predict together."""
    names = classes[1:]
    rows = tuple((Cell(role), *(cells.number(dice.get(n), 3) for n in names)) for role, dice in networks.items())
    notes = ("Validation Dice of each network by itself, at the last validation with these values.",)
    return (Table("networks", "each network", ("network", *names), rows, notes, 1),) if rows else ()


def _row(metric: str, name: str, part: Mapping[str, Any], unit: str) -> tuple[Cell, ...]:
    digits = 3 if unit == "1" else 2
    interval = part["interval"]
    return (
        Cell(metric if unit == "1" else f"{metric} [{unit}]"),
        Cell(name),
        cells.count(part["n"]),
        cells.number(part["mean"], digits),
        cells.number(part["std"], digits),
        cells.interval((interval[0], interval[1]) if interval and interval[0] is not None else None, digits),
        cells.number(part["median"], digits),
        *(cells.count(part[status]) for status in ("missed", "spurious", "both_empty")),
    )
