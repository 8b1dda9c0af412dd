"""The summary on the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

_COUNTS = ("missed", "spurious", "both_empty")
_NONE = "–"


def summary_table(summary: Mapping[str, Any]) -> Table:
    """One row per checkpoint, metric and class, and one for the mean of the classes; from ``summarize``'s dict."""
    table = Table(caption=_caption(summary), caption_justify="left")
    table.add_column("class")
    for title in ("n", "mean ± std", "95 % interval", "median (IQR)", "missed", "spurious", "both\nempty"):
        table.add_column(title, justify="right")
    for checkpoint, metrics in summary["checkpoints"].items():
        for metric, block in metrics.items():
            _add_block(table, _title(checkpoint, metric, block), block)
    return table


def worst_table(summary: Mapping[str, Any]) -> Table:
    """The worst cases of each checkpoint and metric, by their mean over the classes, worst first."""
    table = Table(title="Worst cases", title_justify="left")
    for title in ("metric", "case", "mean of\nclasses"):
        table.add_column(title, justify="right" if title.startswith("mean") else "left", overflow="fold")
    for checkpoint, metrics in summary["checkpoints"].items():
        for metric, block in metrics.items():
            for rank, worst in enumerate(block["worst"]):
                title = _title(checkpoint, metric, block) if rank == 0 else ""
                table.add_row(title, escape(worst["case"]), _number(worst["value"], block))
            table.add_section()
    return table


def _add_block(table: Table, title: str, block: Mapping[str, Any]) -> None:
    table.add_row(f"[bold]{title}[/bold]")
    for name, part in block["classes"].items():
        mean = f"{_number(part['mean'], block)} ± {_number(part['std'], block)}"
        median = f"{_number(part['median'], block)} ({_range([part['q1'], part['q3']], block)})"
        counts = (str(part[status] or _NONE) for status in _COUNTS)
        table.add_row(f"  {escape(name)}", str(part["n"]), mean, _range(part["interval"], block), median, *counts)
    whole = block["foreground"]
    of = f"  mean of {whole['n_classes']} classes" if whole["n_classes"] != 1 else "  mean of 1 class"
    table.add_row(of, str(whole["n"]), _number(whole["mean"], block), _range(whole["interval"], block))
    table.add_section()


def _title(checkpoint: str, metric: str, block: Mapping[str, Any]) -> str:
    unit = "" if block["unit"] == "1" else f", {block['unit']}"
    name = f"{escape(metric)}{unit}"
    return f"{escape(checkpoint)}: {name}" if checkpoint else name


def _number(value: float | None, block: Mapping[str, Any]) -> str:
    if value is None:
        return _NONE
    return f"{value:.3f}" if block["unit"] == "1" else f"{value:.2f}"


def _range(pair: list[float | None] | None, block: Mapping[str, Any]) -> str:
    if pair is None:
        return _NONE
    return f"{_number(pair[0], block)} to {_number(pair[1], block)}"


def _caption(summary: Mapping[str, Any]) -> str:
    counted = "n: values in the mean."
    if summary["policy"] == "image_diagonal":
        return (
            f"{counted} A distance to a missed or spurious structure counts the image diagonal; both empty: left out."
        )
    return f"{counted} Distances to missed or spurious structures and classes empty in both are left out."
