"""Prediction of cases, one after another, with all problems reported at the end."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from semiseg.data.verify import problems_of
from semiseg.engine.memory import NEW_IMAGE_FIX, raising_on_oom
from semiseg.errors import DataError, Problem, TrainingError, raise_all
from semiseg.inference.image import Ensemble, Receive
from semiseg.inference.windows import Part
from semiseg.io.labels import label_bytes
from semiseg.messages import counted
from semiseg.pipeline.model import Model
from semiseg.pipeline.predictions import predicted, stored_values
from semiseg.prediction.probabilities import Format, ProbabilityWriter
from semiseg.prediction.quality import Measuring, QualityTable
from semiseg.prediction.targets import Target
from semiseg.progress import Reporter
from semiseg.types import Case, Volume


@dataclass(frozen=True, slots=True)
class Predicting:
    """Predicts cases with one or several models."""

    model: Model
    ensemble: Ensemble
    device: torch.device
    reporter: Reporter
    probabilities: Format | None = None
    quality: QualityTable | None = None

    def __call__(self, cases: Sequence[Case], target: Target, problems: Sequence[Problem]) -> None:
        """Predict each case and write its files.

        Raises, after all cases, DataError with ``problems`` (those of other images) and the problems of these images;
        TrainingError if these are only memory that ran out or is limited, or probabilities that are not finite.
        """
        bad, failed, done = list(problems), list[Problem](), 0
        with self.reporter.work("predicting", len(cases), unit="case") as meter:
            for case in cases:
                made = _Made(target.home / f".tmp-{os.getpid()}-{case.id}")
                try:
                    bad += problems_of(case, partial(self._predict, case, made))
                    self._write(case, made, target)
                    done += made.content is not None
                except TrainingError as error:
                    failed += [Problem(f"case {case.id}", problem.what, problem.fix) for problem in error.problems]
                finally:
                    made.close()
                meter.advance()
        if done and (bad or failed):
            self.reporter.say(
                f"Note: {counted(done, 'prediction')} written to {target.home}; the problems of the others follow."
            )
        raise_all([*bad, *failed], DataError if bad else TrainingError)

    def _predict(self, case: Case, made: "_Made") -> None:
        model, kind = self.model, self.probabilities
        coding = model.strategy.coding
        background = coding.background(self.ensemble.n_outputs)

        def receiver(volume: Volume) -> Receive:
            receivers = list[Receive]()
            if self.quality is not None:
                made.measuring = self.quality.begin(volume, f"case {case.id}")
                receivers.append(made.measuring.receive)
            if kind:
                made.writer = ProbabilityWriter(made.temporary, volume.geometry, background, kind, coding)
                receivers.append(made.writer.receive)
            return partial(_to_all, receivers)

        wanted = kind is not None or self.quality is not None
        with raising_on_oom(self.device, NEW_IMAGE_FIX):
            labels, grid = predicted(case, model.components.dataset, self.ensemble, receiver if wanted else None)
            made.content = label_bytes(stored_values(labels, model.info), grid)

    def _write(self, case: Case, made: "_Made", target: Target) -> None:
        if made.content is None:
            return
        if made.writer is not None:
            with TemporaryDirectory(prefix=f".tmp-{os.getpid()}-", dir=target.home) as folder:
                files = made.writer.write(Path(folder), tuple(self.model.task.regions or self.model.task.classes))
                target.place(case, files)
        if self.quality is not None and made.measuring is not None:
            self.quality.add(case.id, made.measuring.measured())
        target.write(case, made.content)


@dataclass(slots=True)
class _Made:
    """What was made of a case: the content of its label file, its probabilities, and its measured quality."""

    temporary: Path
    content: bytes | None = None
    writer: ProbabilityWriter | None = None
    measuring: Measuring | None = None

    def close(self) -> None:
        """Remove the temporary file."""
        if self.writer is not None:
            self.writer.close()
        self.temporary.unlink(missing_ok=True)


def _to_all(receivers: Sequence[Receive], part: Part, probabilities: Tensor) -> None:
    for receive in receivers:
        receive(part, probabilities)
