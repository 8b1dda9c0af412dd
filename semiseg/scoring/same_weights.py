"""``last`` and ``best`` with the same weights: shown once, under both names."""

from collections.abc import Iterable, Mapping
from typing import Any


def shown(checkpoints: Iterable[str], best_is_last: bool) -> dict[str, str]:
    """Return the checkpoints to show, in order, each with its title.

    With ``best_is_last``, ``best`` is left out and ``last`` stands for both.
    """
    if not best_is_last:
        return {name: name for name in checkpoints}
    return {name: "last = best" if name == "last" else name for name in checkpoints if name != "best"}


def sentence(summary: Mapping[str, Any]) -> str:
    """Return why a run's scores are shown once, from its summary.json; empty if the two weights differ."""
    if not summary.get("best_is_last", False):
        return ""
    validated = summary["cases"]["validation"]
    why = (
        "The best validation was the last one"
        if validated
        else "There are no validation cases to choose the best weights"
    )
    return f"{why}: last and best are the same weights, predicted and scored once."
