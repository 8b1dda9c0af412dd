"""Every strategy with overlapping regions as outputs, or its reason why not."""

import pytest
import torch
from torch import nn

from semiseg.engine.build import build_strategy
from semiseg.engine.probe import noise_batch
from semiseg.engine.runtime import Runtime
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.batch import Step
from semiseg.registry import installed, load
from semiseg.testing.steps import run_steps
from semiseg.types import Task

NAMES = [entry.name for entry in installed("strategy")]
WHY_NOT = {
    "ad_mt": "it weighs its teachers by the entropy of classes that exclude each other",
    "dhc": "its weights are of classes that exclude each other",
    "dtc": "it compares a distance map of each class with the class's probability",
    "sassnet": "its distance maps are those of classes",
    "sdcl": "it compares the classes of two networks, and probabilities with one-hot labels",
}
WITH_REGIONS = [name for name in NAMES if not load("strategy", name).no_regions]


def built(name, backbone, task, **options):
    cls = load("strategy", name)
    given = cls.Options.model_validate(options)
    roles = cls.roles(given)
    return build_strategy(cls, given, roles, {role.name: backbone for role in roles}, task, 0)


def a_step(strategy, task):
    stage = strategy.stages()[-1]
    batch = noise_batch(task, 2, 2, torch.device("cpu"), strategy.needs.targets, stage.pseudo_labels)
    (report,) = run_steps(strategy, [(batch, Step(99, 100, 9, stage=stage.name))], Runtime("cpu", "32"), lr=0.1)
    return report


def test_what_does_not_support_regions_says_why():
    reasons = {name: load("strategy", name).no_regions for name in NAMES if name not in WITH_REGIONS}
    assert reasons == {name: WHY_NOT.get(name) for name in reasons}


class Binary(Backbone):
    """Logits at a voxel from that voxel alone; for two classes, those of the background are 0."""

    def build(self, task):
        convolution = (nn.Conv2d if task.spatial_dims == 2 else nn.Conv3d)(task.in_channels, 1, 1)
        return convolution if task.regions else WithZeros(convolution)


class WithZeros(nn.Module):
    def __init__(self, convolution):
        super().__init__()
        self.convolution = convolution

    def forward(self, images):
        logits = self.convolution(images)
        return torch.cat([torch.zeros_like(logits), logits], dim=1)


# Loss terms other than Dice, which has no background among regions. Options make pseudo-labels' losses cross entropy.
BINARY = {
    "cps": {"pseudo_loss": "cross_entropy"},
    "cps_cutmix": {},
    "entropy_minimization": {},
    "fixmatch": {"threshold": 0.6},
    "ict": {},
    "mean_teacher": {},
    "pi_model": {},
    "pseudo_label": {"threshold": 0.6},
    "self_training": {},
    "ua_mt": {},
}


@pytest.mark.parametrize("name", [name for name in BINARY if name in NAMES])  # some are of separate packages
def test_one_region_of_one_class_is_a_binary_softmax(name):
    tasks = [Task(2, ("background", "a"), (12, 8), regions) for regions in ({}, {"a": (1,)})]
    classes, regions = (a_step(built(name, Binary(), task, **BINARY[name]), task) for task in tasks)
    assert classes.keys() == regions.keys()
    compared = classes.keys() - {"loss", "supervised"}
    assert compared
    for term in compared:
        assert regions[term] == pytest.approx(classes[term], rel=1e-4), term
        assert term == "accepted" or classes[term] > 0
