"""Who uses the case store: a note a process, by which its entries are told apart, and kept while the process runs."""

import atexit
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semiseg.engine.lock import may_be_alive, this_process
from semiseg.errors import StorageError
from semiseg.io.atomic import write_json
from semiseg.io.cache import cache_folder

if TYPE_CHECKING:
    from semiseg.pipeline.plan import Plan

FOLDER = "uses"
"""In the case store."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A note that was read.

    Attributes:
        path: its file.
        dataset: whose cases they are.
        recipe: its name.
        reads: the folder within the cache that the files lie in; empty where they lie elsewhere.
        since: when the use began, in seconds since 1970.
        holder: the process, while it may be running; empty afterwards.
        entries: keys of the store's entries; empty while they are being made.
    """

    path: Path
    dataset: str
    recipe: str
    reads: str
    since: float
    holder: Mapping[str, Any]
    entries: frozenset[str]


class Use:
    """The note of this process, from the moment that it looks for entries until it ends.

    It cannot be written where the store cannot; then nothing is noted, and nothing else is lost.
    """

    def __init__(self, root: Path, plan: "Plan") -> None:
        reads = _within_cache(plan)
        homes = {root, cache_folder() / "store"} if reads else {root}
        self._paths = [home / FOLDER / f"{uuid.uuid4().hex}.json" for home in homes]
        self._pid = os.getpid()
        self._content: dict[str, Any] = {
            "dataset": plan.info.name,
            "recipe": plan.recipe.name,
            "reads": reads,
            "since": time.time(),
            "holder": this_process(),
            "entries": [],
        }
        self._write()
        atexit.register(self._end)

    def of(self, entries: Sequence[str]) -> None:
        """Note what is used. Notes of ended processes that this one says all of are removed."""
        self._content["entries"] = sorted(entries)
        self._write()
        for path in self._paths:
            for noted in read_uses(path.parent.parent):
                same = (noted.dataset, noted.recipe) == (self._content["dataset"], self._content["recipe"])
                if same and not noted.holder and noted.entries <= set(entries):
                    with suppress(OSError):
                        noted.path.unlink()

    def _end(self) -> None:
        if os.getpid() == self._pid:  # a process that was forked from it ends sooner
            self._content["holder"] = {}
            for path in self._paths:
                if path.exists():
                    self._write_to(path)

    def _write(self) -> None:
        for path in self._paths:
            self._write_to(path)

    def _write_to(self, path: Path) -> None:
        with suppress(OSError, StorageError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, self._content)


def read_uses(root: Path) -> Iterator[Noted]:
    """The notes of a case store; one that cannot be read says nothing."""
    for path in sorted((root / FOLDER).glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            value = json.loads(path.read_text(encoding="utf-8"))
            holder = value["holder"] if may_be_alive(value["holder"]) else {}
            yield Noted(
                path,
                str(value["dataset"]),
                str(value["recipe"]),
                str(value["reads"]),
                float(value["since"]),
                holder,
                frozenset(map(str, value["entries"])),
            )


def _within_cache(plan: "Plan") -> str:
    """The folder of the dataset's files, such as ``phantom/v1-…``, where it lies in the cache; else empty."""
    first = next((path for case in plan.cases for path in case.images), None)
    if first is None or not first.is_relative_to(cache_folder()):
        return ""
    return "/".join(first.relative_to(cache_folder()).parts[:2])
