"""Recipes as YAML 1.2 text: plain data, and the line of every key.

ruamel.yaml parses the text. Unquoted scalars follow only the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/,
10.3.2): ``1e-4`` is a number, ``NO``, ``1_000`` and ``2024-01-01`` are text, ``010`` is ten. Ambiguous or unsafe
features are refused: duplicate keys, tags, anchors, aliases, merge keys.
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from semiseg.errors import Problem, RecipeError, raise_all
from semiseg.recipe.source_locations import Places

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_DEEPEST = 50
_LONGEST = 40
"""Maximum digits of a whole number; Python reads thousands of them slowly, and does not write them at all."""


def read_yaml(path: Path, title: str = "") -> tuple[dict[Any, Any], Places]:
    """Read a YAML file's mapping and the places of its keys. Messages call the file ``title``, by default its path.

    Raises RecipeError for a file that cannot be read, is empty, is not YAML, or uses features that are not allowed.
    """
    title = title or str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RecipeError(f"{title} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{title} cannot be read: it is not UTF-8 text (byte {error.start}).") from error
    data, places = parse_yaml(text, title)
    if data is None:
        raise RecipeError(f"{title} is empty.", "`semiseg init FOLDER` writes a recipe for a folder of images.")
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "a single value"
        raise RecipeError(f"{title} must contain keys with values, such as `name: my_run`; it contains {kind}.")
    return data, places


def parse_yaml(text: str, source: str, *, lines: bool = True) -> tuple[Any, Places]:
    """Parse a YAML text and return its plain data and the places of its keys in ``source``. Raises RecipeError.

    Without ``lines``, a place is the source alone.
    """
    reader = _Reader(text, source, lines)
    data = reader.read()
    raise_all(reader.problems, RecipeError)
    return data, reader.places


class _Reader:
    """Converts the parser's events to data and collects refused features."""

    def __init__(self, text: str, source: str, lines: bool) -> None:
        self.source, self.lines = source, lines
        self.problems: list[Problem] = []
        self.places = Places(source)
        self._events = self._parse(text)

    def _parse(self, text: str) -> Iterator[Event]:
        try:
            yield from YAML(typ="safe", pure=True).parse(io.StringIO(text))
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = self._line(mark.line) if mark else self.source
            raise self._not_yaml(place, ": ".join(filter(None, (error.context, error.problem)))) from error
        except YAMLError as error:
            raise self._not_yaml(self.source, str(error).splitlines()[0]) from error

    def _not_yaml(self, place: str, reason: str) -> RecipeError:
        return RecipeError([*self.problems, Problem("", f"{place} is not YAML: {reason}.")])

    def read(self) -> Any:
        data: Any = None
        for count, event in enumerate(self._contents()):
            if count == 0:
                data = self._value(event, ())
            else:
                self._refuse(event, "starts a second document", "Put each recipe into its own file.")
                break
        return data

    def _contents(self) -> Iterator[Event]:
        """Yield the first event of every document."""
        for event in self._events:
            if not isinstance(event, StreamStartEvent | StreamEndEvent | DocumentStartEvent | DocumentEndEvent):
                yield event

    def _place(self, event: Event) -> str:
        return self._line(event.start_mark.line)

    def _line(self, index: int) -> str:
        return f"{self.source}:{index + 1}" if self.lines else self.source

    def _refuse(self, event: Event, what: str, fix: str) -> None:
        self.problems.append(Problem("", f"{self._place(event)} {what}.", fix))

    def _value(self, event: Any, path: tuple[str, ...]) -> Any:
        if len(path) > _DEEPEST:
            raise RecipeError(f"{self._place(event)} is nested deeper than {_DEEPEST} levels.")
        if isinstance(event, AliasEvent):
            self._refuse(event, f"uses an alias (*{event.anchor})", "Write the value out.")
            return None
        if event.anchor:
            self._refuse(event, f"uses an anchor (&{event.anchor})", "Write the value out where it is needed.")
        if event.tag:
            self._refuse(event, f"uses a tag ({event.tag})", "Remove it: recipes contain plain values only.")
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        return self._scalar(event)

    def _scalar(self, event: Any) -> Any:
        text = str(event.value)
        if not text.isprintable() and not _can_be_written(text):
            what = (
                f"contains {ascii(text)[:60]}, which is not text: an unpaired surrogate, or a byte of another encoding"
            )
            self._refuse(event, what, "Write the character itself, or \\U with its eight hexadecimal digits.")
            return None
        if _plain(event) and _INTEGER.fullmatch(text) and not _fits(text):
            what = f"contains a whole number with {len(text):,} digits, {text[:20]}…"
            self._refuse(event, what, f"At most {_LONGEST} digits are allowed; put text in quotes.")
            return None
        return _scalar(event)

    def _sequence(self, path: tuple[str, ...]) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            below = (*path, str(len(items)))
            self.places.put(below, self._place(event))
            items.append(self._value(event, below))
        return items

    def _mapping(self, path: tuple[str, ...]) -> dict[Any, Any]:
        items: dict[Any, Any] = {}
        first: dict[Any, str] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event, path)
            place = self._place(event)
            below = (*path, str(key))
            if key in first and key is not None:
                what = f"Duplicate key {key!r} ({first[key]} and {place})."
                self.problems.append(Problem("", what, "Remove one of the two."))
            first[key] = place
            self.places.put(below, place)
            items[key] = self._value(next(self._events), below)
        return items

    def _key(self, event: Event, path: tuple[str, ...]) -> Any:
        key = self._value(event, (*path, "?"))
        if not isinstance(event, ScalarEvent):
            if not isinstance(event, AliasEvent):
                self._refuse(event, "uses a list or a block as a key", "Keys must be words or numbers.")
            return None
        if key == "<<" and _plain(event):
            self._refuse(event, "uses a merge key (<<)", "Write the values out.")
        return key


def _plain(event: ScalarEvent) -> bool:
    return not event.style


def _can_be_written(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fits(text: str) -> bool:
    return len(text.lstrip("+-0xo")) <= _LONGEST  # leading zeros do not count


def _scalar(event: Any) -> Any:
    """Return a scalar's value by YAML 1.2's core schema; quoted scalars are text."""
    text = str(event.value)
    if not _plain(event):
        return text
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INTEGER.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text) or _SPECIAL.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
