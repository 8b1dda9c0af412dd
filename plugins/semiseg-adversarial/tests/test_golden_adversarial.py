"""Losses and gradients of the public code of both methods (``semiseg.testing.published.golden``).

The supervised Dice of both codes has squared probabilities. Their numbers here are those of their code with
``dice_loss1`` of the same repository (utils/losses.py, no squares). The network's loss and that of the critic are added
up, without an update of the network between them. In place of their critics is one that looks at single voxels;
``test_critic.py`` compares the critics.
"""

from dataclasses import replace

import pytest
import torch
from torch import nn

from semiseg.interfaces.split import Outputs
from semiseg.losses.dice_form import DiceForm
from semiseg.testing.published.golden import CHANNELS, Golden, Pointwise, wave
from semiseg_adversarial.dan import DAN
from semiseg_adversarial.sassnet import SASSNet

(TARGET,) = SASSNet.needs.targets
DAN_CODE = "HiLab-git/SSL4MIS@06df604:code/train_adversarial_network_3D.py:135-167"
BATCH, FOREGROUND = DiceForm(batch=True), DiceForm(background=False, batch=True)
PUBLISHED = {"loss": "dice_ce", "weight": 0.2}


class WaveCritic(nn.Module):
    """The mean over voxels of tanh of two sums of the channels of maps and images."""

    def __init__(self, maps):
        super().__init__()
        self.weight = nn.Parameter(2 * wave((2, maps + CHANNELS + 1), 1.3))

    def forward(self, maps, images, factors=None):
        seen = torch.cat([maps, images, torch.ones_like(images[:, :1])], dim=1)
        return torch.einsum("kc,nc...->nk...", self.weight, seen).tanh().flatten(2).mean(dim=2)


class WithDistance(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.logits, self.distance = Pointwise(classes, 0.9), Pointwise(classes - 1, 0.9)

    def forward(self, images):
        return Outputs(self.logits(images), heads={TARGET.name: self.distance(images)})


NETWORKS = {"model": 0.9, "critic": WaveCritic}
CASES = {
    # Twice the loss of the network there, and that of the critic.
    "dan, 3 classes": Golden(
        source=DAN_CODE, strategy=DAN, options=PUBLISHED, form=BATCH, networks=NETWORKS, classes=3,
        loss=3.49927251351,
        gradients={
            "model": (
                "0.08129992106 -0.01148975177 -0.3562344845 0.02112991267 -0.06382206175 -0.1417037189 -0.1024298337 "
                "0.07531181353 0.4979382034"
            ),
            "critic": (
                "0.02445990674 0.007176723032 0.02802738519 0.04004104542 -0.02884816225 0.05966401496 -0.02974939617 "
                "-0.00170400482 -0.06083402247 -0.002944319443 -0.03112250361 -0.09228742346"
            ),
        },
    ),
    "dan, 3 classes, slices": Golden(
        source=DAN_CODE, strategy=DAN, options=PUBLISHED, form=BATCH, networks=NETWORKS, classes=3, spatial_dims=2,
        loss=3.4697102559,
        gradients={
            "model": (
                "0.07710359853 -0.03547145287 -0.3311041761 0.01660328863 -0.02437813002 -0.1916843169 -0.09370688716 "
                "0.05984958289 0.522788493"
            ),
            "critic": (
                "0.02860028283 0.007601742962 0.03225950779 0.04832639242 -0.03529843701 0.06846153358 -0.03668341771 "
                "-0.002052494374 -0.07579030778 -0.003533714767 -0.03833244129 -0.1145262199"
            ),
        },
    ),
    "dan, 2 classes": Golden(
        source=DAN_CODE, strategy=DAN, options=PUBLISHED, form=BATCH, networks=NETWORKS, classes=2,
        loss=2.23129559727,
        gradients={
            "model": "0.03496456031 0.1554086738 -0.003458947708 -0.03496456031 -0.1554086738 0.003458947708",
            "critic": (
                "-0.003453893225 -6.272375777e-05 -0.002523954822 -0.0008526012366 -0.003516616983 0.002175209257 "
                "5.351384072e-05 0.001663082022 0.0003845627937 0.002228723098"
            ),
        },
    ),
    # One channel and a sigmoid there, the difference of the two logits here.
    "sassnet": Golden(
        source="kleinzcy/SASSnet@1761aa8:code/train_gan_sdfloss.py:153-199, utils/util.py:123-150",
        strategy=SASSNet, options={"loss": "dice", "weight": 0.01}, form=FOREGROUND, classes=2,
        networks={"model": WithDistance, "critic": lambda classes: WaveCritic(classes - 1)},
        relative=1e-7,  # float32 distances
        loss=1.66052915665,
        gradients={
            "model": (
                "-0.006350195392 -0.02483761509 0.0513163123 0.006350195392 0.02483761509 -0.0513163123 0.03372533739 "
                "0.0562839322 -0.06527585972"
            ),
            "critic": (
                "0.006379887606 0.002120317643 0.002575889496 0.004700111327 -0.00772841148 -0.0043732589 "
                "-0.00138054855 -0.01148721144"
            ),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_losses_and_gradients_are_the_public_code_s(name):
    CASES[name].check()


@pytest.mark.parametrize(
    ("name", "loss", "ratio"),
    [("dan, 3 classes", 3.42483544293, 1.02173), ("sassnet", 1.59497007841, 1.04110)],
)
def test_squared_probabilities_make_the_public_dice_lower(name, loss, ratio):
    """``loss``: of the same code with its own Dice, (2 sum(p t) + s) / (sum(p^2) + sum(t) + s)."""
    assert replace(CASES[name], loss=loss).ratio() == pytest.approx(ratio, abs=1e-5)
