"""What semiseg keeps that can be made again: where it is, how large, who used it last, and how it is removed."""

import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from semiseg.data.entries import RECORD
from semiseg.engine.lock import told
from semiseg.io.cache import cache_folder
from semiseg.pipeline.uses import Noted, read_uses

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
