"""Output folders that record which weights made their files."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semiseg.errors import Problem, RunError, raise_all
from semiseg.io.atomic import make_folder, sweep_temporaries, write_bytes, write_json, write_text
from semiseg.messages import some
from semiseg.runs.checkpoint import file_digest

NOTE = "predictions.json"
_ELSEWHERE = "Nothing was changed. Choose another --output."


def discard_others(home: Path, digest: str, *patterns: str) -> None:
    """Make a folder hold only files made by the weights with this digest.

    Files made by other weights (the run was trained further, or went back to an older checkpoint) do not belong to
    this result. Files below ``home`` that match ``patterns`` are removed unless its ``weights.sha256`` has the digest,
    which is then written. Temporary files of killed writers are removed in any case.
    """
    for folder in (home, *(path for path in home.glob("*") if path.is_dir())):
        sweep_temporaries(folder)
    stamp = home / "weights.sha256"
    if not stamp.exists() or stamp.read_text(encoding="utf-8").strip() != digest:
        for pattern in patterns:
            for old in home.rglob(pattern):
                old.unlink()
        write_text(stamp, digest + "\n")


@dataclass(frozen=True, slots=True)
class Maker:
    """The weights that make a folder's files, by digest, and for the reader their run and checkpoint.

    Attributes:
        run: the run, or several.
        checkpoint: last or best.
        weights: digest of the weights, or of the digests of several.
        settings: what else the files depend on, as JSON; empty for predictions without such settings.
        members: run and weights of each of several runs.
    """

    run: str
    checkpoint: str
    weights: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    members: Sequence[Mapping[str, str]] = ()

    def record(self) -> dict[str, Any]:
        """Return what ``predictions.json`` says of it."""
        known: dict[str, Any] = {"run": self.run, "checkpoint": self.checkpoint, "weights": self.weights}
        if self.members:
            known["runs"] = [dict(member) for member in self.members]
        return {**known, "settings": dict(self.settings)} if self.settings else known


_TEXTS = ("run", "checkpoint", "weights")


class Claimed:
    """A user's folder whose ``predictions.json`` records what makes its files, from what, and their digests."""

    def __init__(self, home: Path, record: dict[str, Any]) -> None:
        self.home, self._record = home, record
        write_json(home / NOTE, record)

    def is_intact(self, name: str) -> bool:
        """Return whether a file exists and is, byte for byte, what was written."""
        try:
            return bool(file_digest(self.home / name) == self._record["sha256"].get(name))
        except OSError:
            return False

    def write(self, name: str, content: bytes) -> Path | None:
        """Write a file unless an identical one exists.

        A different file, which may be a manual correction, is renamed; return its new path, or None. The digest is
        recorded first, so that no kill leaves a file that looks damaged.
        """
        if self._is_there(name, hashlib.sha256(content).hexdigest()):
            return None
        aside = self._set_aside(name)
        write_bytes(self.home / name, content)
        return aside

    def place(self, name: str, source: Path) -> Path | None:
        """Move a finished file of the same file system into the folder, as ``write`` writes it."""
        if self._is_there(name, file_digest(source)):
            source.unlink()
            return None
        aside = self._set_aside(name)
        make_folder((self.home / name).parent)
        source.replace(self.home / name)
        return aside

    def _is_there(self, name: str, digest: str) -> bool:
        """Record a file's digest; return whether the file exists."""
        self._record["sha256"][name] = digest
        write_json(self.home / NOTE, self._record)
        return self.is_intact(name)

    def _set_aside(self, name: str) -> Path | None:
        target = self.home / name
        if not target.exists():
            return None
        names = (f"{name}.changed{'' if n == 1 else f'-{n}'}" for n in itertools.count(1))
        aside = next(path for path in map(self.home.joinpath, names) if not path.exists())
        target.rename(aside)
        return aside


def claim(home: Path, maker: Maker, files: Mapping[str, Sequence[str]]) -> Claimed:
    """Record in a user's folder what will make which files from what; call it under the folder's lock.

    Unlike ``discard_others`` it deletes nothing: existing files must be by the same weights, from the same sources. The
    record is complete before the first file is written, so that no kill leaves a file that it lacks.

    Args:
        home: the folder; the record is its ``predictions.json``.
        maker: the weights that make the files.
        files: by file name, the digests of its sources.

    Raises RunError, with every file that cannot be kept, if some are by other weights, of other sources, or unknown.
    """
    note = home / NOTE
    known = _read(note)
    there = {name: sources for name, sources in known.get("files", {}).items() if (home / name).exists()}
    unknown = [name for name in files if name not in there and (home / name).exists()]
    problems = [_unknown_problem(home, note, unknown)] if unknown else []
    if there and known["weights"] != maker.weights:
        problems.append(_weights_problem(home, known, maker, len(there)))
    elif there and known.get("settings", {}) != json.loads(json.dumps(maker.settings)):
        what = f"it contains {len(there)} predictions made with other settings"
        before, now = _in_words(known.get("settings", {})), _in_words(maker.settings)
        problems.append(Problem(str(home), f"{what}: {before} instead of {now}", _ELSEWHERE))
    else:
        changed = [name for name, sources in files.items() if name in there and there[name] != list(sources)]
        what = "it was made from other images than those given now"
        problems += [Problem(str(home / name), what, _ELSEWHERE) for name in changed]
    raise_all(problems, RunError)
    for folder in {home, *((home / name).parent for name in files)}:
        sweep_temporaries(folder)
    digests = {name: digest for name, digest in known.get("sha256", {}).items() if name in there}
    made_of = {**there, **{name: list(sources) for name, sources in files.items()}}
    return Claimed(home, {**maker.record(), "files": made_of, "sha256": digests})


def _in_words(settings: Mapping[str, Any]) -> str:
    """Return settings for a reader: ``mirrored along x, y, the largest component of liver``."""
    said = []
    if mirrored := settings.get("mirrored_axes"):
        axes = sorted({axis for one in mirrored.values() for axis in one})
        said.append(f"mirrored along {', '.join('xyz'[axis] for axis in axes)}")
    if (largest := settings.get("largest_component")) is not None:
        said.append(f"the largest component of {', '.join(largest) or 'no class'}")
    other = {key: value for key, value in settings.items() if key not in ("mirrored_axes", "largest_component")}
    said += [f"{key} {json.dumps(value, ensure_ascii=False)}" for key, value in other.items()]
    return ", ".join(said) or "neither mirrored nor reduced to components"


def _read(note: Path) -> dict[str, Any]:
    """Return the record, empty if absent. Raises RunError if a file of that name is something else."""
    if not note.exists():
        return {}
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        tables = known["files"], known.get("sha256", {})  # older records have no digests
        if all(isinstance(t, dict) for t in tables) and all(isinstance(known[key], str) for key in _TEXTS):
            return dict(known)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise RunError(Problem(str(note), "it is damaged, or not a record of semiseg's predictions", _ELSEWHERE))


def _weights_problem(home: Path, known: Mapping[str, Any], maker: Maker, count: int) -> Problem:
    what = (
        f"it contains {count} predictions by other weights ({known['checkpoint']} of {known['run']},"
        f" SHA-256 {known['weights'][:8]}) than those of {maker.checkpoint} of {maker.run} ({maker.weights[:8]})"
    )
    return Problem(str(home), what, _ELSEWHERE)


def _unknown_problem(home: Path, note: Path, names: Sequence[str]) -> Problem:
    there = f"{len(names)} of the files to be written already exist ({some(names, 3)})"
    what = f"{there}, and {note.name} does not record their model"
    return Problem(str(home), what, _ELSEWHERE)
