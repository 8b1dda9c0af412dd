"""A picture of a study: the first test patients as predicted by the baseline, a method, its control, and all labels."""

from collections.abc import Iterator
from pathlib import Path

from semiseg.comparison.read import ScoredRun
from semiseg.errors import SemisegError
from semiseg.io.json import read_json
from semiseg.render.preview import write_preview
from semiseg.runs.folder import RunFolder
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_controls import control_curve
from semiseg.study_report.study_metric import method_curve
from semiseg.study_report.worst_cases import viewed

PATIENTS = 3


def write_first_cases(path: Path, results: StudyResults) -> str:
    """Write a picture of the first test case of each of the first patients, in the order of their names.

    Its columns are models of the first seed, with the fewest labels that the baseline and a method have: the baseline,
    the method's control, the method, and the baseline with all labels, as far as they are trained. Returns a note if
    data or predictions are no longer available, so that there is no picture, or "".
    """
    path.unlink(missing_ok=True)  # of an earlier report
    runs = {_title(arm, results): arm.runs[0] for arm in _arms(results)}
    if not runs:
        return ""
    try:
        shown = viewed(runs, _first_cases(next(iter(runs.values()))))
        write_preview(path, shown.cases, shown.classes)
    except Exception as error:  # problems with the data must not prevent the report
        said = error.problems[0].what if isinstance(error, SemisegError) else repr(error)
        return f"The first test cases cannot be shown: {said}"
    return ""


def _arms(results: StudyResults) -> Iterator[StudyArm]:
    """Yield the arms to show, for the first method that has a baseline."""
    for setting in results.settings:
        for method in results.methods:
            for arm in method_curve(results, setting, method):
                if baseline := results.find(setting, results.baseline, arm.labeled):
                    controls = control_curve(results, setting, method)
                    yield baseline
                    yield from (control for control in controls if control.labeled == arm.labeled and control != arm)
                    yield arm
                    if (full := results.full(setting)) and full != baseline:
                        yield full
                    return


def _title(arm: StudyArm, results: StudyResults) -> str:
    if arm.method == results.baseline:
        return f"{arm.method}, {arm.labeled} labeled"
    rest = arm.total - arm.labeled
    return f"{arm.method}, {arm.labeled} + {rest} unlabeled" if rest else f"{arm.method}, {arm.labeled} labeled only"


def _first_cases(run: ScoredRun) -> list[str]:
    first: dict[str, str] = {}
    for case in sorted(read_json(RunFolder(Path(run.path)).split)["test"], key=lambda case: str(case["id"])):
        first.setdefault(str(case.get("patient", case["id"])), str(case["id"]))
    return list(first.values())[:PATIENTS]
