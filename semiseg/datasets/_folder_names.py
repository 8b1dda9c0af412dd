"""Names of image files: case ids, modality numbers as in nnU-Net, and patients in case ids."""

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
_KEY = "dataset.modalities"
TO_PREDICT = ""
"""The key in the naming of new images, whose modalities are the model's and cannot be set."""


def one_group(pattern: str) -> str:
    """Return a regular expression unchanged. Raises ValueError, as a pydantic validator, unless it has one group."""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if pattern and groups != 1:
        raise ValueError(f"it has {groups} groups; use one, around the part of the id that is the patient's")
    return pattern


def patient_in(case_id: str, pattern: str, problems: list[Problem]) -> str:
    """Return the patient in a case id by a pattern, the id itself without one; a mismatch is added to ``problems``."""
    if not pattern:
        return case_id
    match = re.search(pattern, case_id)
    if match and match[1]:
        return match[1]
    what = f"dataset.patient {pattern!r} does not match its id"
    problems.append(Problem(f"case {case_id}", what, "Change it so that it matches every id."))
    return case_id


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
        key: where the user names the modalities; ``TO_PREDICT`` if they are a model's.
    """

    modalities: tuple[str, ...]
    numbered: bool
    together: bool
    key: str = _KEY

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
        """Return the image files of each case in modality order, without the cases that have problems.

        Problems are appended to ``problems``.
        """
        found: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
        for path in files:
            parsed = self.parse(path)
            if parsed is None and self.numbered:
                problems.append(Problem(str(path), "its name does not end in a modality number", self._numbers(path)))
                continue
            case_id, part = parsed or (_name(path), self.parts[0])
            found[case_id][part].append(path)
        usable = {}
        for case_id, by_part in found.items():
            own = self._problems(case_id, by_part)
            problems += own
            if not own:
                usable[case_id] = tuple(by_part[name][0] for name in self.parts)
        return usable

    def _numbers(self, path: Path) -> str:
        """Return how to number a file."""
        ending = "" if path.is_dir() else path.name[len(image_stem(path)) :]
        last = len(self.parts) - 1
        if not last:
            return f"Name it CASE_0000{ending}."
        fix = f"Name it CASE_0000{ending} to CASE_{last:04d}{ending}, one file per modality"
        return f"{fix}, or set {_KEY} to one name." if self.key == _KEY else f"{fix}."

    def _problems(self, case_id: str, files: Mapping[str, list[Path]]) -> list[Problem]:
        where, order = f"case {case_id}", ", ".join(f"_{i:04d} {name}" for i, name in enumerate(self.parts))
        needs = "The model needs " + ", ".join(f"{case_id}_{i:04d} ({name})" for i, name in enumerate(self.parts)) + "."
        problems = []
        missing = [f"_{index:04d} ({name})" for index, name in enumerate(self.parts) if name not in files]
        if missing:
            as_set = f"Expected: {order}. Or set {self.key} to those that all cases have."
            fix = f"{needs} Add it, or move the case away." if self.key == TO_PREDICT else as_set
            problems.append(Problem(where, f"modality {', '.join(missing)} is missing", fix))
        for name, paths in files.items():
            if name not in self.parts:
                fix = f"{needs} Move it away." if self.key == TO_PREDICT else f"Expected: {order}. Set {self.key}."
                problems.append(Problem(where, f"there is no modality for {paths[0].name}", fix))
            elif len(paths) > 1:
                both = ", ".join(path.name for path in paths)
                problems.append(Problem(where, f"more than one file for {name}: {both}", "Remove the copies."))
        return problems
