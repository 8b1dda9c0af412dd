"""The calibration of expected Dice for new images: a run's own, or made where its data are at hand."""

from collections.abc import Sequence
from dataclasses import replace

from semiseg.errors import Problem, RunError, SemisegError, StorageError
from semiseg.inference.image import Ensemble
from semiseg.io.lock import locked
from semiseg.messages import counted
from semiseg.pipeline.quality.calibrating import new_calibration
from semiseg.prediction.ensemble import LoadedRun, weights_of
from semiseg.prediction.own_plan import own_plan
from semiseg.progress import Reporter
from semiseg.quality.calibration import Calibration, key_of, read_calibration, write_calibration
from semiseg.quality.interval import FEWEST, LEVEL


def calibration_for(
    runs: Sequence[LoadedRun], ensemble: Ensemble, checkpoint: str, reporter: Reporter
) -> Calibration | None:
    """Return the calibration for runs that predict together; None, after a note with the reason, if there is none.

    One that is missing (of earlier runs, several runs, or for other settings) is made with the cases that are
    validation cases of every run, and kept in the first run's folder.
    """
    key = key_of(checkpoint, weights_of(runs), ensemble, runs[0].model.task.classes)
    try:
        for run in runs:
            found = read_calibration(run.kept.folder, key)
            if found is not None:
                return found
        ids = _validation(runs)
        plan = own_plan(runs[0])
        cases = [case for case in plan.split.validation if case.id in ids]
        made = new_calibration(key, plan, ensemble, cases, runs[0].runtime, reporter)
    except SemisegError as error:
        reporter.say(f"Note: no expected Dice: {_reason(error.problems)}.")
        return None
    if len(runs) > 1:
        made = made.model_copy(update={"encoder": runs[0].weights})
    try:
        with locked(runs[0].kept.folder.path):
            write_calibration(runs[0].kept.folder, made)
    except (StorageError, RunError) as error:
        reporter.say(f"Note: the calibration of expected Dice is not kept, and is made again next time: {error}")
    return made


def _reason(problems: Sequence[Problem]) -> str:
    """Return the first problem in a line, with the number of the others."""
    first = problems[0]
    text = str(replace(first, fix="")).removesuffix(".")
    more = f", and {counted(len(problems) - 1, 'more problem')}" if len(problems) > 1 else ""
    return f"{text}{more}{f'. {first.fix}' if first.fix else ''}".removesuffix(".")


def _validation(runs: Sequence[LoadedRun]) -> set[str]:
    """Return the ids of the cases that are validation cases of every run. Raises RunError for too few patients."""
    found = [{case["id"]: case for case in run.kept.folder.read_split()["validation"]} for run in runs]
    shared = set.intersection(*map(set, found))
    patients = {found[0][case].get("patient", case) for case in shared}
    if len(patients) < FEWEST:
        have = f"{counted(len(patients), 'validation patient')}"
        whose = f"the run has {have}" if len(runs) == 1 else f"the runs have {have} in common"
        raise RunError(f"{whose}; a {LEVEL:.0%} interval needs at least {FEWEST}".replace("%", " %"))
    return shared
