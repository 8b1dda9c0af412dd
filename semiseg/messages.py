"""Plain messages for pydantic's validation errors: one sentence for each key."""

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from semiseg.errors import Problem

Keys = tuple[str | int, ...]

_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a block of keys",
    "model_type": "a block of keys",
    "path_type": "a path",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:,.12g}",
    "literal_error": "{expected}",
}


@dataclass(frozen=True, slots=True)
class Place:
    """The place that the values come from.

    Attributes:
        prefix: the key of the block that holds the values, such as ``strategy``; empty for the whole.
        where: a function from a dotted key to its file and line; empty if unknown.
        keys: keys of the block that are not the model's.
        known: the start of the list of known keys.
    """

    prefix: str = ""
    where: Callable[[str], str] = lambda key: ""
    keys: tuple[str, ...] = ()
    known: str = ""

    def dotted(self, path: Keys) -> str:
        """Return the full key of a path within the values."""
        return ".".join(filter(None, (self.prefix, *map(str, path))))

    def of(self, path: Keys) -> str:
        """Return the file and line in parentheses, with a leading space; empty if unknown."""
        where = self.where(self.dotted(path))
        return f" ({where})" if where else ""


def closest(word: str, words: Iterable[str]) -> str | None:
    """Return the most similar of some words, ignoring case; None if none is similar."""
    known = {name.lower(): name for name in words}
    near = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.5)
    return known[near[0]] if near else None


def nearest(word: str, words: Iterable[str]) -> str:
    """Return a question that suggests the most similar word, with a leading space; empty if none is similar."""
    near = closest(word, words)
    return f" Did you mean {near!r}?" if near else ""


def some(names: Sequence[str], most: int = 10) -> str:
    """Return names as a list with at most ``most`` of them: ``a, b and 7 others``."""
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left} other{'s' if left > 1 else ''}" if left > 0 else "")


def counted(count: int, what: str) -> str:
    """Return a count with its noun: ``1 case``, ``1,200 cases``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def gib(count: int, digits: int = 1) -> str:
    """Return bytes as ``2.3 GiB``; below 0.1 GiB as ``12.3 MiB``."""
    return f"{count / 2**30:.{digits}f} GiB" if count >= 0.1 * 2**30 else f"{count / 2**20:.3g} MiB"


def show(value: Any) -> str:
    """Return a value as written in a recipe, shortened to a readable length."""
    try:
        text = repr(value) if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    except ValueError:  # Python does not print integers of more than 4,300 digits
        text = "a number with thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def explain(error: ValidationError, model: type[BaseModel], values: Any, place: Place | None = None) -> list[Problem]:
    """Return the problems of values that a model rejected, in the order of their keys."""
    place = place or Place()
    problems = []
    for complaint in _complaints(error.errors(include_url=False), values):
        kinds = {detail["type"] for detail in complaint.details}
        if kinds & {"extra_forbidden", "invalid_key"}:
            problems.append(_unknown_key(complaint.path, model, place))
        elif kinds == {"missing"}:
            problems.append(_missing(complaint, model, place))
        else:
            what, fix = _sentence(complaint.details)
            problems.append(Problem("", f"{place.dotted(complaint.path)}{place.of(complaint.path)}{what}", fix))
    return problems


@dataclass(slots=True)
class _Complaint:
    """All errors for one key; several details if none of several alternatives matches."""

    path: Keys
    details: list[ErrorDetails] = field(default_factory=list)


def _complaints(errors: Sequence[ErrorDetails], values: Any) -> Iterator[_Complaint]:
    placed = [(_path(detail, values), detail) for detail in errors]
    # If an alternative matches on the outside (a list, for example), report the error inside it.
    deeper = {choice for (path, choice), _ in placed if choice is not None and len(path) > len(choice)}
    found: dict[Keys, _Complaint] = {}
    for (path, choice), detail in placed:
        if choice in deeper and len(path) == len(choice):
            continue
        short = detail["type"] == "missing" and isinstance(path[-1], int)  # entries are missing at the end of a list
        key = path[:-1] if short else path
        found.setdefault(key, _Complaint(key)).details.append(detail)
    yield from found.values()


def _path(detail: ErrorDetails, values: Any) -> tuple[Keys, Keys | None]:
    """Return the keys of an error, and the keys of the choice among alternatives that it belongs to, if any."""
    path: Keys = ()
    choice: Keys | None = None
    for index, part in enumerate(detail["loc"]):
        if _has(values, part):
            values, path = values[part], (*path, part)
        elif detail["type"] == "missing" and index == len(detail["loc"]) - 1:
            path = (*path, part)
        else:  # pydantic's name of an alternative
            choice = path if choice is None else choice
    return path, choice


def _has(values: Any, part: str | int) -> bool:
    if isinstance(values, Mapping):
        return part in values
    return isinstance(values, list | tuple) and isinstance(part, int) and part < len(values)


def _unknown_key(path: Keys, model: type[BaseModel], place: Place) -> Problem:
    block, key = path[:-1], str(path[-1])
    inner = _model_at(model, block)
    known = [*(() if block else place.keys), *(inner.model_fields if inner else ())]
    hint = nearest(key, known)
    homes = _homes(model) if not place.prefix else {}
    if not hint and key in homes:
        hint = f" Did you mean {homes[key]!r}?"
    where = place.of(path)
    named = key if where else place.dotted(path)
    title = (place.known if not block else "") or ("Known keys of " + place.dotted(block) if block else "Known keys")
    return Problem("", f"Unknown key {named!r}{where}.{hint}", f"{title}: {', '.join(known) or 'none'}.")


def _model_at(model: type[BaseModel], path: Keys) -> type[BaseModel] | None:
    by_name = False
    for part in path:
        if isinstance(part, int) or (by_name and part not in model.model_fields):
            continue
        info = model.model_fields.get(part)
        by_name = bool(info and is_by_name(info.annotation))
        inner = info and model_in(info.annotation)
        if not inner:
            return None
        model = inner
    return model


def model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the pydantic model in an annotation, alone or within a list, mapping or union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := model_in(arg))), None)


def is_by_name(annotation: Any) -> bool:
    """Return whether an annotation has a mapping from names, alone or within a union."""
    return get_origin(annotation) is dict or any(is_by_name(arg) for arg in get_args(annotation))


def _homes(model: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """Return the dotted key of each key of the nested models."""
    homes: dict[str, str] = {}
    for name, info in model.model_fields.items():
        homes.setdefault(name, prefix + name)
        if inner := model_in(info.annotation):
            homes = _homes(inner, f"{prefix}{name}.") | homes
    return homes


def _missing(complaint: _Complaint, model: type[BaseModel], place: Place) -> Problem:
    path, detail = complaint.path, complaint.details[-1]
    last = detail["loc"][-1]
    if isinstance(last, int):
        has = last + 1 - len(complaint.details)
        what = f"{place.dotted(path)}{place.of(path)} has {_entries(has)}; expected {last + 1}."
        return Problem("", what)
    inner = _model_at(model, path[:-1])
    description = inner.model_fields[str(last)].description if inner and last in inner.model_fields else ""
    return Problem("", f"{place.dotted(path)} is missing{place.of(path)}.", description or "")


def _sentence(details: Sequence[ErrorDetails]) -> tuple[str, str]:
    for detail in details:
        if own := _own_words(detail):
            return own, ""
    value = details[0]["input"]
    expected = _listed(dict.fromkeys(_expected(detail) for detail in details))
    if value is None:
        return f" is empty; it must be {expected}.", ""
    hint = fix = ""
    choices = [c.strip("'") for d in details if d["type"] == "literal_error" for c in _choices(d)]
    if isinstance(value, str):
        hint = nearest(value, choices)
    elif show(value) in choices or [d["type"] for d in details] == ["string_type"]:
        fix = f'Put it in quotes: "{show(value)}".' if isinstance(value, int | float) else ""
    return f" must be {expected}, not {show(value)}.{hint}", fix


def _own_words(detail: ErrorDetails) -> str:
    """Return the sentence for errors that do not concern type or range; empty for those that do."""
    context = detail.get("ctx", {})
    match detail["type"]:
        case "value_error" | "assertion_error":
            return f": {context['error']}".rstrip(".") + "."
        case "too_short":
            return f" has {_entries(context['actual_length'])}; expected at least {context['min_length']}."
        case "too_long":
            return f" has {_entries(context['actual_length'])}; expected at most {context['max_length']}."
    return ""


def _expected(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Input should be ")
    return _EXPECTED.get(detail["type"], message).format_map(detail.get("ctx", {}))


def _choices(detail: ErrorDetails) -> list[str]:
    return str(detail.get("ctx", {}).get("expected", "")).replace(" or ", ", ").split(", ")


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"
