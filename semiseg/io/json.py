"""Reading the JSON files of a run folder."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from semiseg.errors import Problem, RunError

_BACK = "Restore it from a copy; semiseg wrote it completely."


def read_json(path: Path, form: type[BaseModel] | None = None, fix: str = _BACK) -> dict[str, Any]:
    """Read a JSON object written by semiseg.

    Raises RunError, naming the file, in one sentence, if it cannot be read, is not an object, or does not have the
    ``form`` that its readers expect.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(Problem(str(path), f"cannot be read: {error}", fix)) from error
    if not isinstance(value, dict):
        raise RunError(Problem(str(path), "is not what semiseg wrote: not a JSON object", fix))
    if form is not None:
        try:
            form.model_validate(value)
        except ValidationError as error:
            wrong = [_complaint(detail) for detail in error.errors(include_url=False)]
            more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            what = f"is not what semiseg wrote: {', '.join(wrong[:3])}{more}"
            raise RunError(Problem(str(path), what, fix)) from error
    return value


def _complaint(detail: Any) -> str:
    key = ".".join(map(str, detail["loc"]))
    if detail["type"] == "missing":
        return f"{key} is missing"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    said = str(detail["msg"])
    return f"{key}: {said[:1].lower()}{said[1:]}"
