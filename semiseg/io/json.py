"""Reading the JSON files of a run folder."""

import json
from pathlib import Path
from typing import Any

from semiseg.errors import Problem, RunError


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object that semiseg wrote. Raises RunError, naming the file, where it cannot be read or is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            Problem(str(path), f"cannot be read: {error}", "Bring it back from a copy; it was written whole.")
        ) from error
    if not isinstance(value, dict):
        raise RunError(Problem(str(path), "is not what semiseg wrote: no JSON object"))
    return value
