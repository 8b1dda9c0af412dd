"""Data for a page's scripts: scores by column, and the viewer's cases, as plain values ready for JSON."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from semiseg.render.document import CaseScore, ViewedCase
from semiseg.render.sprites import make_sprites

COLUMNS = {
    "run": "Run",
    "checkpoint": "Checkpoint",
    "case": "Case",
    "class_name": "Class",
    "metric": "Metric",
    "shown": "Value",
    "status": "Status",
}
CHOICES = ("run", "checkpoint", "metric", "class_name")
"""Columns with few distinct values, filtered by choosing one."""


def score_data(scores: Sequence[CaseScore], step: int) -> dict[str, Any]:
    """Return scores by column: each column's distinct texts, and for each row the index of its text.

    Returns:
        ``columns`` (name, title, ``texts``, ``rows``; ``choice`` is true if there are several texts to choose from),
        ``values`` (a number per row, or None), and ``step``: how many rows to show at once.
    """
    columns = []
    for name, title in COLUMNS.items():
        indices: dict[str, int] = {}
        rows = [indices.setdefault(getattr(score, name), len(indices)) for score in scores]
        choice = name in CHOICES and len(indices) > 1
        columns.append({"name": name, "title": title, "texts": list(indices), "rows": rows, "choice": choice})
    return {"columns": columns, "values": [_number(score.value) for score in scores], "step": step}


def case_data(case: ViewedCase, classes: int) -> dict[str, Any]:
    """Return a case for the viewer: ``name``, ``about`` and the fields of ``Sprites``; raises as ``make_sprites``."""
    sprites = asdict(make_sprites(case, classes))
    # A list keeps its order in any reader; in JavaScript objects, keys that look like numbers come first.
    labels = [{"title": title, "uri": uri} for title, uri in sprites.pop("labels").items()]
    return {"name": case.name, "about": case.about, **sprites, "labels": labels}


def _number(value: float | None) -> float | None:
    return float(f"{value:.9g}") if value is not None and math.isfinite(value) else None
