"""What a page's scripts read: scores by column, and the viewer's cases. Plain values, ready for JSON."""

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
"""Columns with few different values, to be filtered by choosing one."""


def score_data(scores: Sequence[CaseScore], step: int) -> dict[str, Any]:
    """Scores by column: a column's different texts once, then for each row the index of its text.

    Returns:
        ``columns`` (name, title, ``texts``, ``rows``; ``choice`` where it has several texts to choose from), ``values``
        (a number a row, None where it has none), and ``step``: how many rows to show at once.
    """
    columns = []
    for name, title in COLUMNS.items():
        indices: dict[str, int] = {}
        rows = [indices.setdefault(getattr(score, name), len(indices)) for score in scores]
        choice = name in CHOICES and len(indices) > 1
        columns.append({"name": name, "title": title, "texts": list(indices), "rows": rows, "choice": choice})
    return {"columns": columns, "values": [_number(score.value) for score in scores], "step": step}


def case_data(case: ViewedCase, classes: int) -> dict[str, Any]:
    """A case for the viewer: ``name``, ``about`` and the fields of ``Sprites``; errors as ``make_sprites``."""
    sprites = asdict(make_sprites(case, classes))
    # A list keeps its order in any reader; an object's keys that look like numbers come first in JavaScript.
    labels = [{"title": title, "uri": uri} for title, uri in sprites.pop("labels").items()]
    return {"name": case.name, "about": case.about, **sprites, "labels": labels}


def _number(value: float | None) -> float | None:
    return float(f"{value:.9g}") if value is not None and math.isfinite(value) else None
