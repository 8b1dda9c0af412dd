"""The cache of case stores and made datasets: who uses what, what it takes, what can go."""

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

from semiseg.errors import StorageError
from semiseg.io.atomic import write_json
from semiseg.io.cache import cache_folder
from semiseg.io.lock import may_be_alive, this_process

if TYPE_CHECKING:
    from semiseg.pipeline.plan import Plan
import shutil
from collections.abc import Iterable

from semiseg.data.entries import RECORD
from semiseg.io.lock import told

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


_DAY = 24 * 3600.0
_CLOCKS = 60.0
"""Seconds by which a file server's clock may be behind that of the process that began to use a store."""
_ASIDE = ".tmp-"
"""How the names of folders begin that are being written or removed."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing that is removed as a whole.

    Attributes:
        path: its folder.
        kind: "case" (an entry of the case store), "data" (made by a dataset), "notes" (of what files hold) or
            "leftover" (of a process that was killed).
        size: in bytes.
        used: when it was used last, in seconds since 1970.
        datasets: whose it is, as far as that was noted.
        recipes: by which it was used, likewise.
        holder: the running process that uses it, and what to do if that is gone; empty where there is none.
    """

    path: Path
    kind: str
    size: int
    used: float
    datasets: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    holder: str = ""


def default_store() -> Path:
    """The case store that recipes use which name no other."""
    return cache_folder() / "store"


def look(store: Path | None = None) -> list[Kept]:
    """Everything in the cache; or only in one case store, where recipes name another."""
    root = store or default_store()
    uses = list(read_uses(root))
    kept = [_case(path, uses) for path in _entries(root)]
    if store is None:
        kept += [_made(path, uses) for path in sorted(cache_folder().glob("phantom/[!.]*"))]
    kept += [_plain(root / name, "notes") for name in ("digests", "checked") if (root / name).is_dir()]
    aside = [*root.glob(f"{_ASIDE}*"), *root.glob(f"entries/*/{_ASIDE}*")]
    aside += cache_folder().glob(f"phantom/{_ASIDE}*") if store is None else []
    leftovers = (_plain(path, "leftover") for path in sorted(aside))
    return kept + [part for part in leftovers if part.used < time.time() - _DAY]  # a younger one may be in the making


def old(kept: Iterable[Kept], days: float) -> list[Kept]:
    """What was not used for so many days. Notes stay: they are small, and without them files are read anew."""
    latest = time.time() - days * _DAY
    return [part for part in kept if part.kind != "notes" and part.used <= latest]


def remove(parts: Iterable[Kept]) -> list[Kept]:
    """Remove what nobody holds, and return it. What was used since it was looked at stays."""
    return [part for part in parts if not part.holder and _remove(part)]


def by_dataset(kept: Iterable[Kept]) -> Mapping[tuple[str, str], list[Kept]]:
    """Parts by their kind, and the names of their datasets; empty where no note tells of one."""
    groups: dict[tuple[str, str], list[Kept]] = {}
    for part in kept:
        groups.setdefault((part.kind, ", ".join(part.datasets)), []).append(part)
    return groups


def _entries(root: Path) -> Iterator[Path]:
    yield from (record.parent for record in sorted((root / "entries").glob(f"*/[!.]*/{RECORD}")))


def _case(path: Path, uses: Sequence[Noted]) -> Kept:
    used = _used(path)
    mine = [noted for noted in uses if path.name in noted.entries]
    held = [noted for noted in uses if noted.holder and (noted in mine or used >= noted.since - _CLOCKS)]
    return Kept(
        path, "case", _size(path), used, _each(n.dataset for n in mine), _each(n.recipe for n in mine), _by(held)
    )


def _made(path: Path, uses: Sequence[Noted]) -> Kept:
    mine = [noted for noted in uses if noted.reads == f"{path.parent.name}/{path.name}"]
    used = max([path.stat().st_mtime, *(noted.since for noted in mine)])
    held = [noted for noted in mine if noted.holder]
    return Kept(path, "data", _size(path), used, (path.parent.name,), _each(n.recipe for n in mine), _by(held))


def _plain(path: Path, kind: str) -> Kept:
    return Kept(path, kind, _size(path), path.stat().st_mtime)


def _each(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _by(held: Sequence[Noted]) -> str:
    if not held:
        return ""
    first = held[0]
    return f"{told(first.holder)}, recipe {first.recipe} (if it is gone, delete {first.path})"


def _used(path: Path) -> float:
    return (path / RECORD).stat().st_mtime


def _size(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):  # another process has removed it
                total += (Path(folder) / name).lstat().st_size
    return total


def _remove(part: Kept) -> bool:
    aside = part.path.with_name(f"{_ASIDE}{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        part.path.rename(aside)  # who looks for it from now on makes it anew
        if part.kind == "case" and _used(aside) > part.used and not part.path.exists():
            aside.rename(part.path)
            return False
    except OSError:
        return False
    shutil.rmtree(aside, ignore_errors=True)
    return True
