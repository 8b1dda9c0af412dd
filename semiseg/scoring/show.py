"""Summary tables for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from semiseg.scoring.ignored import ignored_note
from semiseg.scoring.same_weights import shown

_NONE = "–"


def summary_table(summary: Mapping[str, Any], best_is_last: bool = False) -> Table:
    """Return a table of ``summarize``'s dict: a row per checkpoint, metric and class, and one for the classes' mean.

    With ``best_is_last`` the rows of ``last`` stand for ``best`` too.
    """
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, caption=_caption(summary), caption_justify="left")
    table.add_column("class", overflow="fold", min_width=12)
    for title in ("n", "mean ± std", "95 %\ninterval", "median (IQR)", "missed/\nspurious/\nboth empty"):
        table.add_column(title, justify="right", no_wrap=True)
    for checkpoint, title in shown(summary["checkpoints"], best_is_last).items():
        for metric, block in summary["checkpoints"][checkpoint].items():
            _add_block(table, _title(title, metric, block), block)
    return table


def worst_table(summary: Mapping[str, Any]) -> Table:
    """Return the worst cases of each checkpoint and metric, by their mean over the classes, worst first."""
    table = Table(
        box=SIMPLE,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title="Worst cases",
        title_justify="left",
    )
    table.add_column("metric")
    table.add_column("case", overflow="fold")
    table.add_column("mean of\nclasses", justify="right")
    for checkpoint, metrics in summary["checkpoints"].items():
        for metric, block in metrics.items():
            for rank, worst in enumerate(block["worst"]):
                title = _title(checkpoint, metric, block) if rank == 0 else ""
                table.add_row(title, escape(worst["case"]), _number(worst["value"], block))
            table.add_section()
    return table


def _add_block(table: Table, title: str, block: Mapping[str, Any]) -> None:
    table.add_row(f"[bold]{title}[/bold]")
    _add_rows(table, block, block["classes"], block["foreground"], "classes")
    if "regions" in block:
        _add_rows(table, block, block["regions"], block["all_regions"], "regions")
    table.add_section()


def _add_rows(
    table: Table, block: Mapping[str, Any], parts: Mapping[str, Any], whole: Mapping[str, Any], kind: str
) -> None:
    for name, part in parts.items():
        mean = f"{_number(part['mean'], block)} ± {_number(part['std'], block)}"
        median = f"{_number(part['median'], block)} ({_range([part['q1'], part['q3']], block)})"
        counts = "/".join(str(part[status]) for status in ("missed", "spurious", "both_empty"))
        table.add_row(f" {escape(name)}", str(part["n"]), mean, _range(part["interval"], block), median, counts)
    table.add_row(f" all {kind}", str(whole["n"]), _number(whole["mean"], block), _range(whole["interval"], block))


def _title(checkpoint: str, metric: str, block: Mapping[str, Any]) -> str:
    unit = "" if block["unit"] == "1" else f", {block['unit']}"
    name = f"{escape(metric)}{unit}"
    return f"{escape(checkpoint)}: {name}" if checkpoint else name


def _number(value: float | None, block: Mapping[str, Any]) -> str:
    if value is None:
        return _NONE
    if block["unit"] == "1":
        return f"{value:.3f}"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"  # so that the whole table fits 80 columns


def _range(pair: list[float | None] | None, block: Mapping[str, Any]) -> str:
    if pair is None:
        return _NONE
    low, high = (_number(value, block) for value in pair)
    return _NONE if low == _NONE else f"{low}–{high}"


def _caption(summary: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (_policy(summary), ignored_note(summary))))


def _policy(summary: Mapping[str, Any]) -> str:
    counted = "n: values in the mean."
    if summary.get("preset"):
        empty = f"Definitions and values for empty masks follow {summary['preset']}"
        return f"{counted} {empty}; undefined values are left out."
    if summary["policy"] == "image_diagonal":
        counts = "Distances to missed or spurious structures count as the image diagonal"
        return f"{counted} {counts}; classes empty in both are left out."
    return f"{counted} Distances to missed or spurious structures and classes empty in both are left out."
