"""Prediction of new images one by one: problems with some do not stop the others, and are reported at the end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from semiseg.data.verify import problems_of
from semiseg.engine.memory import NEW_IMAGE_FIX, raising_on_oom
from semiseg.engine.runtime import Runtime
from semiseg.errors import DataError, Problem, TrainingError, raise_all
from semiseg.inference.sliding_window import Predictor
from semiseg.interfaces.dataset import Dataset
from semiseg.io.labels import label_bytes
from semiseg.pipeline.model import Model
from semiseg.pipeline.predictions import predicted
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
    try:
        return file_digest(path)
    except OSError as error:
        if path.is_symlink() and not path.exists():
            fix = "Fetch its target (git-annex, DataLad: `datalad get .`), or remove the link."
            raise DataError(Problem(str(path), "broken link", fix)) from error
        what = f"the file cannot be read: {error.strerror or error}"
        raise DataError(Problem(str(path), what, "Check its permissions and the disk.")) from error


@dataclass(frozen=True, slots=True)
class Predicting:
    """Predicts cases with a model."""

    model: Model
    predictor: Predictor
    runtime: Runtime
    reporter: Reporter

    def __call__(
        self, cases: Sequence[Case], write: Callable[[Case, bytes], None], problems: Sequence[Problem]
    ) -> None:
        """Predict each case and pass the content of its label file to ``write``.

        Raises, after all cases, DataError with ``problems`` (those of other images) and the problems of these images;
        TrainingError if these are only memory that ran out, or probabilities that are not finite.
        """
        bad, failed = list(problems), list[Problem]()
        with self.reporter.work("predicting", len(cases), unit="case") as meter:
            for case in cases:
                content: list[bytes] = []
                try:
                    bad += problems_of(case, partial(self._predict, case, content))
                except TrainingError as error:
                    failed += [Problem(f"case {case.id}", problem.what, problem.fix) for problem in error.problems]
                for one in content:
                    write(case, one)
                meter.advance()
        raise_all([*bad, *failed], DataError if bad else TrainingError)

    def _predict(self, case: Case, into: list[bytes]) -> None:
        model = self.model
        with raising_on_oom(self.runtime.device, NEW_IMAGE_FIX):
            values, grid = predicted(case, model.components.dataset, self.predictor, model.recipe, model.info)
            into.append(label_bytes(values, grid))
