"""The agreement of probabilities with their own decision, by hand."""

import pytest
import torch

from semiseg.codings.classes import CLASSES
from semiseg.codings.regions import Regions
from semiseg.quality.agreement import Agreement, structures_of
from semiseg.types import Task

PART = ((0, 1), (0, 1), (0, 4))


def measured(task, coding, probabilities, regions=None, pieces=1):
    found = Agreement(structures_of(task, regions or {}), coding)
    for piece in torch.tensor(probabilities)[:, None, None].chunk(pieces, dim=3):
        found.receive(PART, piece)
    return found.values()


@pytest.mark.parametrize("pieces", [1, 2, 4])
def test_classes_and_a_region_of_them(pieces):
    task = Task(1, ("background", "one", "two"), (16, 16, 16))
    probabilities = [[0.1, 0.2, 0.6, 0.4], [0.9, 0.5, 0.3, 0.1], [0.0, 0.3, 0.1, 0.5]]
    found = measured(task, CLASSES, probabilities, {"both": ("one", "two")}, pieces)
    assert found == pytest.approx(
        {
            "one": 2 * (0.9 + 0.5) / (1.8 + 2),  # decided in the first two voxels
            "two": 2 * 0.5 / (0.9 + 1),  # in the last
            "both": 2 * (0.9 + 0.8 + 0.6) / (2.7 + 3),  # in all but the third
        }
    )


def test_sure_probabilities_agree_and_what_is_not_predicted_has_no_agreement():
    task = Task(1, ("background", "one", "two"), (16, 16, 16))
    assert measured(task, CLASSES, [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]) == {"one": 1.0, "two": None}


def test_outputs_that_are_regions():
    task = Task(1, ("background", "edema", "core"), (16, 16, 16), {"whole": (1, 2), "inner": (2,)})
    coding = Regions(list(task.regions.values()), 3)
    found = measured(task, coding, [[0.9, 0.8, 0.3, 0.0], [0.7, 0.2, 0.1, 0.0]])
    assert found == pytest.approx({"whole": 2 * 1.7 / (2.0 + 2), "inner": 2 * 0.7 / (1.0 + 1)})


def test_the_agreement_is_the_mean_dice_if_voxels_are_as_often_in_the_class_as_said():
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(20_000, generator=generator)
    task = Task(1, ("background", "one"), (16, 16, 16))
    found = measured(task, CLASSES, torch.stack([1 - p, p]).tolist())["one"]
    decided, drawn = p > 0.5, torch.rand((20, len(p)), generator=generator) < p
    dice = 2 * (drawn & decided).sum(1) / (drawn.sum(1) + decided.sum())
    assert found == pytest.approx(float(dice.mean()), abs=0.003)
