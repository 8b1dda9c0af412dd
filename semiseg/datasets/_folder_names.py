"""Names of image files in a plain folder: case ids and modality numbers, as in nnU-Net."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from semiseg.errors import Problem
from semiseg.io.names import image_stem, is_picture

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})", re.DOTALL)
_COLORS = 3
"""Channels of an RGB picture, the only picture with several."""


def _name(path: Path) -> str:
    """Return the name of a file without its ending, or of a folder."""
    return image_stem(path) or path.name


@dataclass(frozen=True, slots=True)
class FileNames:
    """The naming of some image files.

    Attributes:
        modalities: names of the modalities.
        numbered: whether names end in a modality number.
        together: whether each file holds all modalities: RGB pictures.
    """

    modalities: tuple[str, ...]
    numbered: bool
    together: bool

    @classmethod
    def of(cls, files: Sequence[Path], modalities: tuple[str, ...]) -> "FileNames":
        """Return the naming of files, from their names alone.

        With one file per case, all names must end in ``_0000`` to be numbered: ids end in digits, too. Pictures are
        RGB if there are three modalities, unless they are numbered from ``_0000`` to ``_0002``.
        """
        matches = [_CHANNEL.fullmatch(_name(path)) for path in files]
        numbers = {int(match["channel"]) for match in matches if match}
        colors = len(modalities) == _COLORS and bool(files) and is_picture(files[0])
        together = colors and numbers != set(range(_COLORS))
        single = together or len(modalities) == 1
        numbered = not single or all(match is not None and int(match["channel"]) == 0 for match in matches)
        return cls(modalities, numbered, together)

    @property
    def parts(self) -> tuple[str, ...]:
        """A name for each file of a case: its modality, or all of them."""
        return (", ".join(self.modalities),) if self.together else self.modalities

    def parse(self, path: Path) -> tuple[str, str] | None:
        """Return case id and part from a file's name; the number itself if there is no such part."""
        match = _CHANNEL.fullmatch(_name(path)) if self.numbered else None
        if match is None:
            return None
        channel = int(match["channel"])
        return match["case"], self.parts[channel] if channel < len(self.parts) else match["channel"]

    def case_id(self, path: Path) -> str:
        """Return the case id of a file."""
        parsed = self.parse(path)
        return parsed[0] if parsed else _name(path)

    def group(self, files: Sequence[Path], problems: list[Problem]) -> Mapping[str, tuple[Path, ...]]:
        """Return the image files of each case in modality order; problems are appended to ``problems``."""
        found: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
        for path in files:
            parsed = self.parse(path)
            if parsed is None and self.numbered:
                ending = "" if path.is_dir() else path.name[len(image_stem(path)) :]
                fix = (
                    f"Name it CASE_0000{ending} to CASE_{len(self.parts) - 1:04d}{ending}, one file per modality, or"
                    " set dataset.modalities to one name."
                )
                problems.append(Problem(str(path), "its name does not end in a modality number", fix))
                continue
            case_id, part = parsed or (_name(path), self.parts[0])
            found[case_id][part].append(path)
        for case_id, by_part in found.items():
            problems += self._problems(case_id, by_part)
        names = self.parts
        return {i: tuple(by[name][0] for name in names) for i, by in found.items() if all(by.get(n) for n in names)}

    def _problems(self, case_id: str, files: Mapping[str, list[Path]]) -> list[Problem]:
        where, order = f"case {case_id}", ", ".join(f"_{i:04d} {name}" for i, name in enumerate(self.parts))
        problems = []
        missing = [f"_{index:04d} ({name})" for index, name in enumerate(self.parts) if name not in files]
        if missing:
            fix = f"Expected: {order}. Or set dataset.modalities to those that all cases have."
            problems.append(Problem(where, f"modality {', '.join(missing)} is missing", fix))
        for name, paths in files.items():
            if name not in self.parts:
                fix = f"Expected: {order}. Set dataset.modalities."
                problems.append(Problem(where, f"there is no modality for {paths[0].name}", fix))
            elif len(paths) > 1:
                both = ", ".join(path.name for path in paths)
                problems.append(Problem(where, f"more than one file for {name}: {both}", "Remove the copies."))
        return problems
