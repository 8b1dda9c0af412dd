"""Losses and gradients of the public code of the methods (``semiseg.testing.published.golden``).

The supervised Dice of SSL4MIS and DTC has squared probabilities. Their numbers here are those of their code with
``dice_loss1`` of the same repository (utils/losses.py, no squares).
"""

from dataclasses import replace

import pytest
import torch
from torch import nn

from semiseg.interfaces.split import Outputs
from semiseg.losses.dice_form import DiceForm
from semiseg.testing.published.golden import HALF, Golden, Pointwise, loss_and_gradients, wave_batch
from semiseg_multi_head.dtc import DTC, HEAD
from semiseg_multi_head.mc_net import MCNet
from semiseg_multi_head.urpc import URPC

URPC_CODE = "HiLab-git/SSL4MIS@06df604:code/train_uncertainty_rectified_pyramid_consistency_3D.py:130-203"
MC_NET_CODE = "ycwu1997/MC-Net@fee453c:code"
BATCH, FOREGROUND = DiceForm(batch=True), DiceForm(background=False, batch=True)
FREQUENCIES = (0.9, 1.7, 2.6, 3.4)


class Several(nn.Module):
    """A network with several pointwise outputs, as decoders, scales or heads."""

    def __init__(self, outputs, arrange):
        super().__init__()
        self.parts, self.arrange = nn.ModuleList(outputs), arrange

    def forward(self, images):
        return self.arrange([part(images) for part in self.parts])


def scales(classes):
    logits = [Pointwise(classes, frequency) for frequency in FREQUENCIES]
    return Several(logits, lambda found: Outputs(found[0], scales=tuple(found[1:])))


def decoders(count):
    def made(classes):
        logits = [Pointwise(classes, frequency) for frequency in FREQUENCIES[:count]]
        return Several(logits, lambda found: Outputs(found[0], decoders=tuple(found[1:])))

    return made


def with_distance(classes):
    parts = Pointwise(classes, 0.9), Pointwise(classes - 1, 0.9, scale=0.002)
    return Several(parts, lambda found: Outputs(found[0], heads={HEAD: found[1]}))


CASES = {
    "dtc": Golden(
        # One channel and a sigmoid there, the difference of the two logits here.
        source="HiLab-git/DTC@2525b9c:code/train_la_dtc.py:169-191, utils/util.py:123-150",
        strategy=DTC,
        options={"loss": "dice"},
        form=FOREGROUND,
        networks={"model": with_distance},
        classes=2,
        relative=1e-7,  # float32 distances
        loss=0.826902512725,
        gradients={
            "model": (
                "-0.01026469586 -0.02582421526 0.0582726766 0.01026469586 0.02582421526 -0.0582726766 7.610313137 "
                "-0.4181912898 -12.88803411"
            ),
        },
    ),
    "urpc, 2 classes, twice the loss": Golden(
        source=URPC_CODE,
        strategy=URPC,
        options={"loss": "dice_ce", "weight": 0.2},
        form=BATCH,
        networks={"model": scales},
        classes=2,
        times=2,
        loss=1.08180269265,
        gradients={
            "model": (
                "0.004107163121 0.02077670343 0.001304871684 -0.004107163121 -0.02077670343 -0.001304871684 "
                "0.01935956967 -0.02951281591 -0.04570790684 -0.01935956967 0.02951281591 0.04570790684 "
                "0.02725398505 -0.02906954042 -0.01498111328 -0.02725398505 0.02906954042 0.01498111328 "
                "-0.01501463215 0.01457946595 -0.07628467525 0.01501463215 -0.01457946595 0.07628467525"
            ),
        },
    ),
    "urpc, 3 classes, twice the loss": Golden(
        source=URPC_CODE,
        strategy=URPC,
        options={"loss": "dice_ce", "weight": 0.2},
        form=BATCH,
        networks={"model": scales},
        classes=3,
        times=2,
        loss=1.61518365047,
        gradients={
            "model": (
                "0.00903219169 0.000161187376 -0.04565226465 0.002358463862 -0.007716524787 -0.01985089782 "
                "-0.01139065555 0.007555337411 0.06550316247 0.01633274539 -0.01856660174 -0.04620412431 "
                "0.007777462274 0.0001820773331 -0.01920438708 -0.02411020767 0.01838452441 0.06540851138 "
                "0.02426865039 -0.02878256491 0.007357507957 -0.02448374619 0.02727101824 0.01438218389 "
                "0.0002150957968 0.001511546669 -0.02173969185 -0.006684327902 0.003768532762 -0.06893924293 "
                "0.02771193258 -0.0249930838 0.06100902856 -0.02102760467 0.02122455103 0.007930214374"
            ),
        },
    ),
    # The smoothing of Dice is 1e-8 there and 1e-5 here.
    "mc-net, 2 classes": Golden(
        source=f"{MC_NET_CODE}/train_mcnet_3d.py:27-30,135-163, utils/losses.py:4-20",
        strategy=MCNet,
        options={"loss": "dice", "decoders": 2, "ramp_share": 1},
        form=FOREGROUND,
        networks={"model": decoders(2)},
        classes=2,
        relative=1e-6,
        loss=0.990630146525,
        gradients={
            "model": (
                "-0.03088853527 0.01405339335 0.02360935607 0.03088853527 -0.01405339335 -0.02360935607 "
                "-0.03242479354 -0.03542440965 -0.01767917444 0.03242479354 0.03542440965 0.01767917444"
            ),
        },
    ),
    "mc-net+, 2 classes": Golden(
        source=f"{MC_NET_CODE}/train_mcnet_3d.py:27-30,135-163, utils/losses.py:4-20",
        strategy=MCNet,
        options={"loss": "dice", "ramp_share": 1},
        form=FOREGROUND,
        networks={"model": decoders(3)},
        classes=2,
        relative=1e-6,
        loss=1.65271805931,
        gradients={
            "model": (
                "-0.05003337469 0.04527958892 0.00665916268 0.05003337469 -0.04527958892 -0.00665916268 "
                "-0.04695271139 -0.0283434713 -0.08831503263 0.04695271139 0.0283434713 0.08831503263 "
                "-0.008375127363 -0.0148033884 0.01627182375 0.008375127363 0.0148033884 -0.01627182375"
            ),
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients_are_those_of_the_public_code(name):
    CASES[name].check()


def consistency(classes, **options):
    """The consistency on slices at full weight, then its gradient: the loss with it less that without."""
    found = []
    for weight in (1, 0):
        chosen = MCNet.Options(decoders=2, ramp="constant", weight=weight, **options)
        strategy = MCNet(chosen, {"model": decoders(2)(classes)})
        total, gradients = loss_and_gradients(strategy, wave_batch(classes, 2), HALF)
        found.append(torch.tensor([total, *gradients["model"]], dtype=torch.float64))
    return found[0] - found[1]


@pytest.mark.parametrize(
    ("classes", "recorded", "apart"),
    [
        (
            3,
            "0.140413537863 0.02559370084 0.06269852716 0.05896098756 0.00244702511 -0.006247107143 0.008546879748 "
            "-0.02804072595 -0.05645142001 -0.06750786731 -0.00580851684 -0.0240782875 0.005747732111 0.00469474195 "
            "0.006622965144 0.004697026699 0.00111377489 0.01745532236 -0.01044475881",
            1.225,
        ),
        (
            4,
            "0.380421587801 0.05899779983 0.01039204533 0.0594027462 0.002237557929 0.009374251899 -0.01573991655 "
            "-0.05313204412 -0.03697369579 -0.02002915215 -0.00810331364 0.01720739856 -0.02363367749 -0.04666690844 "
            "0.03395039099 -0.05321724268 0.001966334885 0.001554465167 0.001418411365 0.09526645906 -0.08412454914 "
            "-0.1311790638 -0.0505658855 0.04861969298 0.1829778951",
            0.355,
        ),
    ],
)
def test_the_public_code_sharpens_each_of_more_classes_by_itself(classes, recorded, apart):
    """train_mcnet_2d.py:30-33,116-139. ``apart``: the gradient of the default, over all classes."""
    wanted = torch.tensor([float(x) for x in recorded.split()], dtype=torch.float64)
    found = consistency(classes, sharpening="each_class")
    assert found.tolist() == pytest.approx(wanted.tolist(), abs=1e-8)
    difference = consistency(classes) - wanted
    assert difference[1:].norm() / wanted[1:].norm() == pytest.approx(apart, abs=1e-3)


def test_of_two_classes_both_ways_of_sharpening_are_one():
    assert consistency(2, sharpening="each_class").tolist() == pytest.approx(consistency(2).tolist(), abs=1e-8)


@pytest.mark.parametrize(
    ("name", "loss", "ratio"),
    [("dtc", 0.76134343448, 1.08611), ("urpc, 3 classes, twice the loss", 1.59042527606, 1.01557)],
)
def test_squared_probabilities_make_the_public_dice_lower(name, loss, ratio):
    """``loss``: of the same code with its own Dice, (2 sum(p t) + s) / (sum(p^2) + sum(t) + s)."""
    assert replace(CASES[name], loss=loss).ratio() / CASES[name].times == pytest.approx(ratio, abs=1e-5)
