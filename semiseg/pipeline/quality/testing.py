"""Expected against true Dice on a run's test cases: quality.csv, and its figures."""

from collections.abc import Sequence

from semiseg.io.json import read_json
from semiseg.pipeline.plan import Plan
from semiseg.pipeline.predictions import agreement_path
from semiseg.quality.calibration import Calibration, CaseAgreement, Key, read_calibration
from semiseg.quality.expected import Measured, Quality, expected
from semiseg.quality.held_out import Compared, compare, write_compared
from semiseg.runs.folder import RunFolder
from semiseg.scoring.score_case import Score

_AGAIN = "Delete it and run the same command with --resume: the case is then predicted again."


def compare_with_true_dice(
    plan: Plan, folder: RunFolder, scores: Sequence[Score], checkpoints: Sequence[str]
) -> dict[str, list[Compared]]:
    """Return the expected and the true Dice of the labeled test cases by checkpoint, and write quality.csv.

    It is empty, and not written, without a calibration. Test cases are not compared with the training cases.
    """
    found: dict[str, list[Compared]] = {}
    read: dict[Key, Calibration | None] = {}
    for checkpoint in checkpoints:
        rows: list[Quality] = []
        for case in plan.split.test:
            measures = agreement_path(folder, checkpoint, case)
            if case.label is None or not measures.exists():
                continue
            measured = CaseAgreement.model_validate(read_json(measures, CaseAgreement, _AGAIN))
            if measured.key not in read:
                read[measured.key] = read_calibration(folder, measured.key)
            calibration = read[measured.key]
            if calibration is not None:
                rows += expected(case.id, Measured(measured.agreement), calibration)
        if rows:
            found[checkpoint] = compare(rows, scores, checkpoint)
    if found:
        write_compared(folder.expected, found)
    return found
