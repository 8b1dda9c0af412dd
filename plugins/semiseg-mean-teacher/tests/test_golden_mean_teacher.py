"""Losses and gradients of the public code of the methods (``semiseg.testing.published.golden``).

The supervised Dice of SSL4MIS and UA-MT has squared probabilities. Their numbers here are those of their code with
``dice_loss1`` of the same repository (utils/losses.py, no squares); with its own, a loss is 3 to 4 % lower.
"""

from dataclasses import replace

import pytest
import torch
from torch import nn

from semiseg.losses.dice_form import DiceForm
from semiseg.testing.published.golden import Golden, Pointwise, wave
from semiseg_mean_teacher.ict import ICT
from semiseg_mean_teacher.mean_teacher import MeanTeacher
from semiseg_mean_teacher.ua_mt import UAMT, masked_difference

SSL4MIS = "HiLab-git/SSL4MIS@06df604:code"
BATCH = DiceForm(batch=True)
STUDENT_AND_TEACHER = {"student": 0.9, "teacher": 1.7}
TWICE = {"loss": "dice_ce", "weight": 0.2}


class Wavering(nn.Module):
    """A teacher with logits that are shifted differently at every call, as by dropout."""

    def __init__(self, classes):
        super().__init__()
        self.network, self.shifts = Pointwise(classes, 1.7), iter(wave((9, classes), 2.3))

    def forward(self, images):
        return self.network(images) + next(self.shifts).reshape(1, -1, *[1] * (images.dim() - 2))


CASES = {
    "mean teacher, 2 classes, twice the loss": Golden(
        source=f"{SSL4MIS}/train_mean_teacher_3D.py:138-158",
        strategy=MeanTeacher,
        options={**TWICE, "noise": 0},
        form=BATCH,
        networks=STUDENT_AND_TEACHER,
        classes=2,
        times=2,
        loss=0.760885549729,
        gradients={
            "student": "0.01648347877 0.07921159053 -0.002103375845 -0.01648347877 -0.07921159053 0.002103375845",
        },
    ),
    "mean teacher, 3 classes, twice the loss": Golden(
        source=f"{SSL4MIS}/train_mean_teacher_3D.py:138-158",
        strategy=MeanTeacher,
        options={**TWICE, "noise": 0},
        form=BATCH,
        networks=STUDENT_AND_TEACHER,
        classes=3,
        times=2,
        loss=1.29521214628,
        gradients={
            "student": (
                "0.03870716379 -0.002956595101 -0.1785126811 0.01017053301 -0.03163993134 -0.07117009112 "
                "-0.0488776968 0.03459652644 0.2496827722"
            ),
        },
    ),
    "mean teacher of TorchSemiSeg": Golden(
        source="charlesCXK/TorchSemiSeg@5e0c29c:exp.voc/voc8.res50v3+.MeanTeacher/train.py:180-213, config.py:73",
        strategy=MeanTeacher,
        options={
            "consistency_on": "labeled_and_unlabeled",
            "weight": 100,
            "ramp": "constant",
            "noise": 0,
            "loss": "cross_entropy",
        },
        networks=STUDENT_AND_TEACHER,
        classes=3,
        spatial_dims=2,
        loss=5.96543286046,
        gradients={
            "student": (
                "-1.797537655 3.211153125 -0.813439234 0.008730344651 -0.7803093367 0.7849174673 1.788807311 "
                "-2.430843788 0.02852176675"
            ),
        },
    ),
    "ua-mt, twice the loss": Golden(
        source="yulequan/UA-MT@88ed29a:code/train_LA_meanteacher_certainty_unlabel.py:142-177",
        strategy=UAMT,
        options={**TWICE, "noise": 0},
        form=DiceForm(background=False, batch=True),
        networks={"student": 0.9, "teacher": Wavering},
        classes=2,
        times=2,
        loss=0.882417457528,
        gradients={
            "student": "0.01264674623 0.06742965999 0.02294477668 -0.01264674623 -0.06742965999 -0.02294477668",
        },
    ),
    "ict, 2 classes, twice the loss": Golden(
        source=f"{SSL4MIS}/train_interpolation_consistency_training_3D.py:142-177",
        strategy=ICT,
        options=TWICE,
        form=BATCH,
        networks=STUDENT_AND_TEACHER,
        classes=2,
        times=2,
        loss=0.756818717084,
        gradients={
            "student": "0.01721347171 0.07772433349 -0.0003498950523 -0.01721347171 -0.07772433349 0.0003498950523",
        },
    ),
    "ict, 3 classes, twice the loss": Golden(
        source=f"{SSL4MIS}/train_interpolation_consistency_training_3D.py:142-177",
        strategy=ICT,
        options=TWICE,
        form=BATCH,
        networks=STUDENT_AND_TEACHER,
        classes=3,
        times=2,
        loss=1.29432255685,
        gradients={
            "student": (
                "0.03891863659 -0.00362549676 -0.1787031379 0.01022082746 -0.03133255786 -0.07158680657 "
                "-0.04913946404 0.03495805462 0.2502899444"
            ),
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients_are_those_of_the_public_code(name, monkeypatch):
    """ICT's mixing weight was 0.3125 there, which is the second sample's; here it is the first one's."""
    monkeypatch.setattr("semiseg_mean_teacher.ict.mixup_weights", lambda *_: torch.tensor([1 - 0.3125]))
    CASES[name].check()


@pytest.mark.parametrize(
    ("name", "loss", "ratio"),
    [
        ("mean teacher, 2 classes, twice the loss", 0.730632211126, 1.04141),
        ("ua-mt, twice the loss", 0.849637918405, 1.03858),
        ("ict, 3 classes, twice the loss", 1.25710402156, 1.02961),
    ],
)
def test_squared_probabilities_make_the_public_dice_lower(name, loss, ratio, monkeypatch):
    """``loss``: of the same code with its own Dice, (2 sum(p t) + s) / (sum(p^2) + sum(t) + s)."""
    monkeypatch.setattr("semiseg_mean_teacher.ict.mixup_weights", lambda *_: torch.tensor([1 - 0.3125]))
    assert replace(CASES[name], loss=loss).ratio() / 2 == pytest.approx(ratio, abs=1e-5)


def test_of_more_classes_ssl4mis_keeps_the_constants_of_two():
    """train_uncertainty_aware_mean_teacher_2D.py:188-191: ln 2 in the threshold, and a sum over 2 sum(M) + 1e-16.

    So the difference there is K / 2 times the one here, at voxels of less entropy.
    """
    student, teacher = (wave((2, 3, 6, 5), frequency).softmax(1) for frequency in (0.7, 1.3))
    found = masked_difference(student, teacher, wave((2, 6, 5), 0.31) > 0)
    assert found.item() * 3 / 2 == pytest.approx(0.1208457058091545, rel=1e-12)
