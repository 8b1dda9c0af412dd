"""A run's calibrations: the agreement and the Dice of its validation cases, kept in quality.json."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal

from pydantic import BaseModel

from semiseg.inference.image import Ensemble
from semiseg.io.atomic import write_json
from semiseg.io.json import read_json
from semiseg.messages import counted
from semiseg.quality.agreement import Structure
from semiseg.quality.interval import FEWEST, Curve
from semiseg.quality.unlike import KnownCases
from semiseg.runs.folder import RunFolder


class Key(BaseModel, frozen=True):
    """What a calibration holds for: weights (their digest, or that of several) and how they predict.

    ``mirrored_axes`` are by member, in any order; ``largest`` are the classes that keep only their largest component.
    """

    checkpoint: str
    weights: str
    mirrored_axes: tuple[tuple[int, ...], ...]
    largest: tuple[str, ...]


def key_of(checkpoint: str, weights: str, ensemble: Ensemble, classes: Sequence[str]) -> Key:
    """Return the key of some weights (their digest) that predict as an ensemble with these classes."""
    mirrored = sorted(tuple(member.predictor.mirrored_axes) for member in ensemble.members)
    largest = tuple(classes[index] for index in ensemble.largest)
    return Key(checkpoint=checkpoint, weights=weights, mirrored_axes=tuple(mirrored), largest=largest)


class MeasuredCase(BaseModel):
    """A validation case: agreement and Dice by structure; None if nothing is predicted, or for an undefined Dice."""

    case: str
    patient: str
    agreement: dict[str, float | None]
    dice: dict[str, float | None]


class CaseAgreement(BaseModel):
    """A test case's agreement by structure, and the calibration with which it becomes an expected Dice."""

    key: Key
    agreement: dict[str, float | None]


class KeptStructure(BaseModel):
    """A structure, as in ``agreement.Structure``."""

    name: str
    kind: Literal["class", "region"]
    outputs: tuple[int, ...]
    classes: tuple[int, ...]

    def used(self) -> Structure:
        """Return the structure."""
        return Structure(self.name, self.kind, self.outputs, self.classes)


class Calibration(BaseModel):
    """The calibration of some weights with some settings.

    ``known`` has the features of training and validation cases; without it, ``unchecked`` says why new cases are not
    compared with them. ``encoder`` is the digest of the weights that give the features, of one of several runs.
    """

    key: Key
    structures: list[KeptStructure]
    cases: list[MeasuredCase]
    known: KnownCases | None = None
    unchecked: str = ""
    encoder: str = ""

    @classmethod
    def of(
        cls,
        key: Key,
        structures: Sequence[Structure],
        cases: Sequence[MeasuredCase],
        known: KnownCases | None,
        unchecked: str,
    ) -> "Calibration":
        """Return a calibration."""
        kept = [KeptStructure(name=s.name, kind=s.kind, outputs=s.outputs, classes=s.classes) for s in structures]
        return cls(key=key, structures=kept, cases=[*cases], known=known, unchecked=unchecked)

    @cached_property
    def used(self) -> tuple[Structure, ...]:
        """The structures."""
        return tuple(structure.used() for structure in self.structures)

    @cached_property
    def curves(self) -> Mapping[str, Curve]:
        """The curve of each structure that enough patients have."""
        found = {}
        for structure in self.structures:
            points = self._points(structure.name)
            if len({patient for _, _, patient in points}) >= FEWEST:
                agreements, dice, patients = zip(*points, strict=True)
                found[structure.name] = Curve(agreements, dice, patients)
        return found

    @cached_property
    def always(self) -> frozenset[str]:
        """The structures that are predicted in all validation cases and have a Dice in all."""
        return frozenset(s.name for s in self.structures if len(self._points(s.name)) == len(self.cases))

    def too_few(self, structure: str) -> str:
        """Return why a structure has no curve."""
        patients = {patient for _, _, patient in self._points(structure)}
        who = counted(len(patients), "validation patient")
        return f"{who} with a prediction of it; at least {FEWEST} are needed"

    def _points(self, structure: str) -> list[tuple[float, float, str]]:
        pairs = ((one.agreement.get(structure), one.dice.get(structure), one.patient) for one in self.cases)
        return [(a, dice, patient) for a, dice, patient in pairs if a is not None and dice is not None]


class _File(BaseModel):
    calibrations: list[Calibration]


def read_calibration(folder: RunFolder, key: Key) -> Calibration | None:
    """Return a run's calibration for these weights and settings, or None. Raises RunError for a damaged file."""
    return next((one for one in _read(folder) if one.key == key), None)


def calibrations_of(folder: RunFolder) -> list[Calibration]:
    """Return all calibrations of a run. Raises RunError for a damaged file."""
    return _read(folder)


def write_calibration(folder: RunFolder, *calibrations: Calibration) -> None:
    """Record calibrations of a run or of an ensemble with it; others stay, and those of the same key are replaced."""
    keys = {one.key for one in calibrations}
    kept = [one for one in _read(folder) if one.key not in keys]
    write_json(folder.quality, _File(calibrations=[*kept, *calibrations]).model_dump(mode="json"))


def _read(folder: RunFolder) -> list[Calibration]:
    if not folder.quality.exists():
        return []
    value = read_json(folder.quality, _File, "Delete it: the calibration is then made again.")
    return _File.model_validate(value).calibrations
