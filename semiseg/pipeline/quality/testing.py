"""Expected against true Dice on a run's test cases: quality.csv, and its figures."""

import math
from collections.abc import Sequence

from semiseg.io.json import read_json
from semiseg.pipeline.plan import Plan
from semiseg.pipeline.predictions import agreement_path
from semiseg.quality.calibration import Key, read_calibration
from semiseg.quality.expected import Measured, expected
from semiseg.quality.held_out import Tested, write_tested
from semiseg.runs.folder import RunFolder
from semiseg.scoring.score_case import Score


def compare_with_true_dice(
    plan: Plan, folder: RunFolder, scores: Sequence[Score], checkpoints: Sequence[str]
) -> dict[str, list[Tested]]:
    """Return the expected and the true Dice of the labeled test cases by checkpoint, and write quality.csv.

    It is empty, and not written, without a calibration. Test cases are not compared with the training cases.
    """
    dice = {(s.checkpoint, s.case, s.class_name): s.value for s in scores if s.definition.split()[:1] == ["Dice"]}
    found: dict[str, list[Tested]] = {}
    for checkpoint in checkpoints:
        for case in plan.split.test:
            measures = agreement_path(folder, checkpoint, case)
            if case.label is None or not measures.exists():
                continue
            record = read_json(measures)
            calibration = read_calibration(folder, Key.model_validate(record["key"]))
            if calibration is None:
                continue
            for row in expected(case.id, Measured(record["agreement"]), calibration):
                value = dice.get((checkpoint, case.id, row.structure), math.nan)
                found.setdefault(checkpoint, []).append(Tested(row, None if math.isnan(value) else value))
    if found:
        write_tested(folder.expected, found)
    return found
