"""The files that a prediction of new images writes: into a claimed folder, or a single new one."""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from semiseg.errors import RunError
from semiseg.io.atomic import make_folder, write_bytes
from semiseg.io.labels import label_ending
from semiseg.messages import some
from semiseg.prediction.probabilities import Format, file_names
from semiseg.progress import Reporter
from semiseg.runs.provenance import NOTE, Claimed
from semiseg.types import Case, Geometry


class Target(Protocol):
    """The place of a case's files."""

    @property
    def home(self) -> Path:
        """The folder."""

    def write(self, case: Case, content: bytes) -> None:
        """Write the prediction."""

    def place(self, case: Case, probabilities: Sequence[Path]) -> None:
        """Move files of probabilities into their place."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A single new file, and files of probabilities next to it."""

    path: Path
    beside: Sequence[str]

    @property
    def home(self) -> Path:
        """The folder."""
        return self.path.parent

    def write(self, case: Case, content: bytes) -> None:
        """Write the prediction, compressed or not."""
        write_bytes(self.path, gzip.decompress(content) if self.path.suffix.lower() == ".nii" else content)

    def place(self, case: Case, probabilities: Sequence[Path]) -> None:
        """Move files of probabilities into their place."""
        for name, source in zip(self.beside, probabilities, strict=True):
            make_folder((self.home / name).parent)
            source.replace(self.home / name)


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """A claimed folder."""

    names: Mapping[str, Sequence[str]]
    claimed: Claimed
    reporter: Reporter

    @property
    def home(self) -> Path:
        """The folder."""
        return self.claimed.home

    def write(self, case: Case, content: bytes) -> None:
        """Write the prediction; a different one is renamed."""
        name = self.names[case.id][0]
        self._said(name, self.claimed.write(name, content))

    def place(self, case: Case, probabilities: Sequence[Path]) -> None:
        """Move files of probabilities into their place."""
        for name, source in zip(self.names[case.id][1:], probabilities, strict=True):
            self._said(name, self.claimed.place(name, source))

    def _said(self, name: str, aside: Path | None) -> None:
        if aside is not None:
            self.reporter.say(f"Note: the previous {name} is kept as {aside.name}.")


def names_of(case: Case, grid: Geometry, kind: Format | None, outputs: Sequence[str]) -> list[str]:
    """Return the names of a case's files; the prediction comes first."""
    further = file_names(kind, case.id, outputs, in_folder=True) if kind else []
    return [f"{case.id}{label_ending(grid.unit)}", *further]


def require_new(paths: Sequence[Path]) -> None:
    """Raise RunError if any of some files exists."""
    there = [path for path in paths if path.exists()]
    if there:
        what = f"{some([str(path) for path in there], 3)} already exist{'s' if len(there) == 1 else ''}."
        raise RunError(what, "Nothing was changed. Choose another --output.")


def require_ending(output: Path, ending: str) -> None:
    """Raise RunError unless a single output file has the format of predictions."""
    if not output.name.lower().endswith((ending, ending.removesuffix(".gz"))):
        what = f"{output} does not have the format of the image: its prediction is a {ending} file."
        raise RunError(what, f"Give NAME{ending}, or a folder, as --output.")


def missing_cases(
    cases: Sequence[Case], names: Mapping[str, Sequence[str]], claimed: Claimed, reporter: Reporter
) -> list[Case]:
    """Return the cases of which a file is absent or has changed, and report the changed ones."""
    wanting = {case.id: [name for name in names[case.id] if not claimed.is_intact(name)] for case in cases}
    there = [name for missing in wanting.values() for name in missing if (claimed.home / name).exists()]
    if there:
        reporter.say(f"Note: predicted again, because {NOTE} has no matching digest: {some(there)}.")
    return [case for case in cases if wanting[case.id]]
