"""Tables of a comparison for the terminal."""

from collections.abc import Iterator

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from semiseg.comparison.result import Comparison, Entry, MetricComparison, Row
from semiseg.types import UNIT_NAMES

_NONE = "–"


def comparison_tables(comparison: Comparison) -> Iterator[Table]:
    """Yield for each metric a table of differences, and one of ranks if there are any."""
    for metric in comparison.metrics:
        yield _differences(metric, comparison.baseline)
        if metric.ranks:
            yield _ranks(metric)


def explanation(comparison: Comparison) -> Text:
    """Return the compared methods, the notes, and an explanation of the figures."""
    lines = [method.description for method in comparison.methods]
    lines += [f"Note: {note}" for note in comparison.notes]
    return Text("\n".join([*lines, "", comparison.statistics, _policy(comparison.policy)]))


def _differences(metric: MetricComparison, baseline: str) -> Table:
    unit = "" if metric.unit == "1" else f" in {UNIT_NAMES.get(metric.unit, metric.unit)}"
    better = "higher" if metric.higher_is_better else "lower"
    table = _table(f"{escape(metric.metric)}{unit}: {better} is better")
    table.add_column("class", overflow="fold", min_width=10)
    table.add_column("method", overflow="fold", min_width=10)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("mean", no_wrap=True)
    table.add_column(escape("difference [95 %]"), no_wrap=True)
    table.add_column(f"p, Holm of {metric.tests}", no_wrap=True)
    for row in metric.rows:
        for place, entry in enumerate(row.entries):
            name, n = (escape(row.name), _count(row)) if place == 0 else ("", "")
            table.add_row(name, escape(entry.method), n, *_figures(entry, metric, entry.method == baseline))
        table.add_section()
    return table


def _count(row: Row) -> str:
    return f"{row.n} ({row.left_out})" if row.left_out else str(row.n)


def _figures(entry: Entry, metric: MetricComparison, is_baseline: bool) -> tuple[str, str, str]:
    digits = 3 if metric.unit == "1" else 2
    mean = _NONE if entry.mean is None else f"{entry.mean:.{digits}f}"
    if entry.seed_std is not None:
        mean += f" ± {entry.seed_std:.{digits}f}"
    if entry.difference is None or entry.p_adjusted is None:
        return mean, "baseline" if is_baseline else _NONE, ""
    difference = f"{entry.difference:+.{digits}f}"
    if entry.interval is not None:
        difference += escape(" [{:+.{d}f}, {:+.{d}f}]".format(*entry.interval, d=digits))
    p = "<0.001" if entry.p_adjusted < 0.001 else f"{entry.p_adjusted:.3f}"
    return mean, difference, f"{p} {entry.verdict}".rstrip()


def _ranks(metric: MetricComparison) -> Table:
    tau = _NONE if metric.tau is None else f"{metric.tau:.2f}"
    table = _table(f"Ranks by {escape(metric.metric)}, {escape(metric.ranked_by)}; mean Kendall's tau {tau}")
    table.add_column("method", overflow="fold", min_width=10)
    for title in ("rank", "first in", "mean rank [95 %]"):
        table.add_column(title, justify="right", no_wrap=True)
    for rank in sorted(metric.ranks, key=lambda rank: rank.rank):
        low, high = rank.interval
        interval = escape(f"{rank.mean_rank:.2f} [{low:g}, {high:g}]")
        table.add_row(escape(rank.method), f"{rank.rank:g}", f"{rank.first:.1%}", interval)
    return table


def _table(title: str) -> Table:
    return Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, title=title, title_justify="left")


def _policy(policy: str) -> str:
    if policy == "image_diagonal":
        return "A distance to a missed or spurious structure counts the image diagonal; undefined values are left out."
    return "Distances to missed or spurious structures and undefined values are left out, for all methods."
