"""New images before they are predicted: grids and digests."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from semiseg.data.digests import digest_text
from semiseg.data.verify import problems_of
from semiseg.errors import DataError, Problem
from semiseg.interfaces.dataset import Dataset
from semiseg.io.formats.contents import contents
from semiseg.progress import Reporter
from semiseg.runs.checkpoint import file_digest
from semiseg.types import Case, Geometry


@dataclass(frozen=True, slots=True)
class Look:
    """A case's grid and the digests of its image files, read before prediction."""

    grid: Geometry
    digests: tuple[str, ...]


def look_at(cases: Sequence[Case], dataset: Dataset, reporter: Reporter) -> tuple[dict[str, Look], list[Problem]]:
    """Return a ``Look`` for each case by id, from headers and digests, and the problems of unusable cases."""
    found: dict[str, Look] = {}
    problems: list[Problem] = []

    def look(case: Case) -> None:
        digests = tuple(_digest(path) for path in case.images)
        found[case.id] = Look(dataset.read_geometry(case), digests)

    with reporter.work("checking images", len(cases), unit="case") as meter:
        for case in cases:
            problems += problems_of(case, partial(look, case))
            meter.advance()
    return found, problems


def _digest(path: Path) -> str:
    files = contents(path)
    return _file_digest(path) if files == (path,) else digest_text("\n".join(map(_file_digest, files)))


def _file_digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        if path.is_symlink() and not path.exists():
            fix = "Fetch its target (git-annex, DataLad: `datalad get .`), or remove the link."
            raise DataError(Problem(str(path), "broken link", fix)) from error
        what = f"the file cannot be read: {error.strerror or error}"
        raise DataError(Problem(str(path), what, "Check its permissions and the disk.")) from error
