"""Left and right classes, by their names."""

from dataclasses import replace

import pytest

from semiseg.pipeline.outputs import has_sides, mirror_notes
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.load import load_recipe


@pytest.mark.parametrize(
    ("classes", "sided"),
    [
        (("background", "left kidney", "right_kidney"), True),
        (("background", "leftKidney", "rightKidney"), True),
        (("background", "kidney_L", "kidney_R"), True),
        (("background", "left", "liver"), False),
        (("background", "left_right"), False),
        (("background", "lesion", "organ"), False),
        (("background", "bright", "cleft"), False),
    ],
)
def test_sides_are_those_of_different_classes(classes, sided):
    assert has_sides(classes) is sided


def test_mirroring_sided_classes_is_noted_until_the_axis_is_left_out():
    def notes(*changes):
        plan = make_plan(load_recipe("quickstart", list(changes)))
        return mirror_notes(plan.components, plan.recipe, replace(plan.task, classes=("background", "left", "right")))

    (note,) = notes()
    assert "augmentation luque2023 mirrors left to right" in note
    assert notes("augmentation.flip_axes=[superior-inferior]") == []
    assert notes("augmentation=none") == []
