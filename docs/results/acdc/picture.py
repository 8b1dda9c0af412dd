"""Draw the first test patients of the study, as predicted by four of its models: preview.png of each, side by side.

Command: python docs/results/acdc/picture.py runs/acdc_study NEW.png
"""

import sys
from pathlib import Path

from semiseg.pipeline.plan import make_plan
from semiseg.recipe.load import load_recipe
from semiseg.render.preview import write_preview
from semiseg.render.viewer_case import view_case

MODELS = {
    "supervised, 3 patients": "supervised_6_s1",
    "fixmatch, 3, no unlabeled": "fixmatch_6of6_s1",
    "fixmatch, 3 and 47 unlabeled": "fixmatch_6ofall_s1",
    "supervised, 50 patients": "supervised_all_s1",
}
PATIENTS = 3
"""The first in the order of their names, of each the first volume."""

models = Path(sys.argv[1]) / "models"
plan = make_plan(load_recipe(models / MODELS["supervised, 3 patients"] / "recipe.yaml"))
first = {case.patient: case for case in reversed(plan.split.test)}
cases = [first[patient] for patient in sorted(first)[:PATIENTS]]
viewed = [
    view_case(
        case,
        plan.components.dataset,
        plan.info,
        {title: models / name / "predictions" / "last" / f"{case.id}.nii.gz" for title, name in MODELS.items()},
    )
    for case in cases
]
write_preview(Path(sys.argv[2]), viewed, plan.info.classes)
