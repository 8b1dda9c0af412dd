"""Expected Dice of new images: measured while they are predicted, and written as quality.csv."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from semiseg.inference.image import Ensemble, Member, Receive
from semiseg.io.atomic import append_line
from semiseg.prediction.ensemble import LoadedRun
from semiseg.progress import Reporter
from semiseg.quality.agreement import Agreement
from semiseg.quality.calibration import Calibration
from semiseg.quality.expected import (
    Measured,
    Quality,
    as_text,
    expected,
    in_words,
    read_measured,
    worst_first,
    write_quality,
)
from semiseg.quality.features import feature_role
from semiseg.types import Case, Volume

NAME = "quality.csv"
_FIRST = 5


@dataclass(slots=True)
class Measuring:
    """Measures one image while it is predicted."""

    agreement: Agreement
    likeness: float | None

    @property
    def receive(self) -> Receive:
        """The receiver of its probabilities."""
        return self.agreement.receive

    def measured(self) -> Measured:
        """Return what was measured."""
        return Measured(self.agreement.values(), self.likeness)


@dataclass(slots=True)
class QualityTable:
    """The table of expected Dice next to predictions; each case is added as soon as it is predicted."""

    path: Path
    calibration: Calibration
    ensemble: Ensemble
    encoder: Member
    role: str | None
    rows: dict[str, list[Quality]] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path, calibration: Calibration, ensemble: Ensemble, runs: Sequence[LoadedRun]) -> "QualityTable":
        """Return an empty table."""
        weights = [run.weights for run in runs]
        number = weights.index(calibration.encoder) if calibration.encoder else 0
        encoder = ensemble.members[number]
        role = feature_role(encoder) if calibration.known else None
        return cls(path, calibration, ensemble, encoder, role)

    def begin(self, volume: Volume, where: str) -> Measuring:
        """Return the measuring of an image. Raises DataError; ``where`` is its name in the message."""
        likeness = None
        if self.role is not None and self.calibration.known is not None:
            likeness = self.calibration.known.likeness(self.encoder.features(self.role, volume, where))
        coding = self.ensemble.members[0].predictor.strategy.coding
        return Measuring(Agreement(self.calibration.used, coding), likeness)

    def take_over(self) -> None:
        """Take over the cases of an existing table that have all structures. Raises RunError for another file."""
        names = {structure.name for structure in self.calibration.used}
        for case, one in read_measured(self.path).items() if self.path.exists() else ():
            if names <= one.agreement.keys():
                self.rows[case] = expected(case, one, self.calibration)

    def write(self) -> None:
        """Write all rows. Raises StorageError."""
        write_quality(self.path, (row for rows in self.rows.values() for row in rows))

    def add(self, case: str, measured: Measured) -> None:
        """Add a case. Raises StorageError."""
        self.rows[case] = expected(case, measured, self.calibration)
        append_line(self.path, as_text(self.rows[case]))

    def report(self, reporter: Reporter, cases: Sequence[Case]) -> None:
        """Report the expected Dice of the cases to look at first."""
        rows = [row for case in cases for row in self.rows.get(case.id, ())]
        if not rows:
            return
        if self.calibration.unchecked:
            reporter.say(
                f"Note: whether images are unlike the training cases is unknown: {self.calibration.unchecked}."
            )
        worst = worst_first(rows)
        which = "" if len(worst) == 1 else f"; of {len(worst)} cases, look at these first"
        reporter.say(f"Expected Dice with its 90 % interval, in {self.path}{which}:")
        for case, found in worst[:_FIRST]:
            reporter.say(f"  {case}: {in_words(found)}")


class Predictions(list[Path]):
    """The paths of predictions, a list. ``quality`` has the expected Dice by case and class, if there are any."""

    def __init__(self, paths: Sequence[Path], table: QualityTable | None, cases: Sequence[Case]) -> None:
        super().__init__(paths)
        rows = {} if table is None else table.rows
        self.quality: tuple[Quality, ...] = tuple(row for case in cases for row in rows.get(case.id, ()))


@contextmanager
def written(table: QualityTable | None, reporter: Reporter, cases: Sequence[Case]) -> Iterator[None]:
    """Write the table before cases are added to it and at the end, also after an error; then report it."""
    if table is None:
        yield
        return
    table.write()
    try:
        yield
    finally:
        table.write()
        table.report(reporter, cases)


def unmeasured(
    cases: Sequence[Case], missing: Sequence[Case], table: QualityTable | None, reporter: Reporter
) -> list[Case]:
    """Return the predicted cases that a table lacks, and report them."""
    found = [] if table is None else [case for case in cases if case.id not in table.rows and case not in missing]
    if found:
        lack = "1 prediction lacks" if len(found) == 1 else f"{len(found)} predictions lack"
        reporter.say(f"Note: {lack} an expected Dice: predicted again to measure it (not with --no-quality).")
    return found
