"""Losses and gradients of the public code of the methods (``semiseg.testing.published.golden``).

The boxes of the references are those of ``box`` and ``mask`` here. Pairs of samples are neighbors here, and halves of
the batch there.
"""

import pytest
import torch

from semiseg.codings.classes import Classes
from semiseg.interfaces.batch import Step
from semiseg.losses.dice_form import DiceForm
from semiseg.plugin import IGNORE
from semiseg.testing.published.golden import Golden, Pointwise, loss_and_gradients, wave, wave_batch, wave_labels
from semiseg_copy_paste.bcp import BidirectionalCopyPaste
from semiseg_copy_paste.copy_paste import region_loss
from semiseg_copy_paste.cps_cutmix import CutMixCPS
from semiseg_copy_paste.sdcl import SDCL, disagreement, distance_from_uniform, squared_distance

BCP = "DeepMed-Lab-ECNU/BCP@7879f98:code"
PRETRAIN = Step(5, 100, 10, "pretrain", 5, 12)
SELF_TRAIN = Step(50, 100, 10, "self_train", 38, 88)


BOXES = {2: (slice(2, 6), slice(1, 4)), 3: (slice(1, 3), slice(0, 2), slice(2, 5))}


def box(shape, slots, *_):
    """The boxes of the references: context_mask of sides 2, 2, 3 at (1, 0, 2), and generate_mask of 4, 3 at (2, 1)."""
    masks = torch.zeros((len(slots), *shape), dtype=torch.bool)
    masks[(..., *BOXES[len(shape)])] = True
    return masks


def mask(shape, slots, *_):
    return wave((len(slots), *shape), 0.31) > 0


@pytest.fixture(autouse=True)
def known_masks(monkeypatch):
    monkeypatch.setattr("semiseg_copy_paste.copy_paste.copy_paste_masks", box)
    monkeypatch.setattr("semiseg_copy_paste.cps_cutmix.cutmix_masks", mask)


CASES = {
    "bcp, first stage": Golden(
        source=f"{BCP}/LA_BCP_train.py:147-161, utils/losses.py:8-77",
        strategy=BidirectionalCopyPaste,
        networks={"model": 0.9, "teacher": 1.7},
        classes=2,
        samples=(4, 4),
        step=PRETRAIN,
        loss=0.786799176411,
        gradients={
            "model": "0.02400319567 0.07304902977 0.007325027086 -0.02400319567 -0.07304902977 -0.007325027086",
        },
    ),
    # The teacher's pseudo-labels have several components here, of which the code keeps the largest.
    "bcp, second stage": Golden(
        source=f"{BCP}/LA_BCP_train.py:57-77,235-257, utils/BCP_utils.py:58-69",
        strategy=BidirectionalCopyPaste,
        networks={"model": 0.9, "teacher": lambda classes: Pointwise(classes, 2.6, background=1.5)},
        classes=2,
        samples=(4, 4),
        step=SELF_TRAIN,
        loss=2.64005588251,
        gradients={
            "model": "-0.02603058665 0.3481122345 0.008654684895 0.02603058665 -0.3481122345 -0.008654684895",
        },
    ),
    # The networks disagree at 73 and 77 of the 120 voxels of the two directions.
    "sdcl, second stage": Golden(
        source=(
            "pascalcpp/SDCL@cfb260f:code/LA_train.py:84-90,105-117,179-187,343-391,"
            " pancreas/losses.py:114-183, for two pairs of samples"
        ),
        strategy=SDCL,
        networks={"model_a": 0.9, "model_b": 1.3, "teacher": lambda classes: Pointwise(classes, 2.6, background=1.5)},
        classes=2,
        samples=(4, 4),
        step=SELF_TRAIN,
        loss=8.13172785501,
        gradients={
            "model_a": "-0.04082800924 0.3789097204 0.03445513368 0.04082800924 -0.3789097204 -0.03445513368",
            "model_b": "-0.0429960769 0.1113932234 -1.05634948 0.0429960769 -0.1113932234 1.05634948",
        },
    ),
    "cps with cutmix, 2 classes": Golden(
        source="charlesCXK/TorchSemiSeg@5e0c29c:exp.voc/voc8.res50v3+.CPS+CutMix/train.py:207-265, config.py:73-77",
        strategy=CutMixCPS,
        options={"loss": "cross_entropy"},
        networks={"student_a": 0.9, "student_b": 1.7},
        classes=2,
        spatial_dims=2,
        samples=(2, 4),
        loss=5.79226033933,
        gradients={
            "student_a": "-0.2400508015 0.5386836786 0.3676483361 0.2400508015 -0.5386836786 -0.3676483361",
            "student_b": "0.318627933 -0.6168616154 -0.6407019997 -0.318627933 0.6168616154 0.6407019997",
        },
    ),
    "cps with cutmix, 3 classes": Golden(
        source="charlesCXK/TorchSemiSeg@5e0c29c:exp.voc/voc8.res50v3+.CPS+CutMix/train.py:207-265, config.py:73-77",
        strategy=CutMixCPS,
        options={"loss": "cross_entropy"},
        networks={"student_a": 0.9, "student_b": 1.7},
        classes=3,
        spatial_dims=2,
        samples=(2, 4),
        loss=5.41617067029,
        gradients={
            "student_a": (
                "-0.05705218092 0.1536294484 -0.3426166964 0.03075706735 -0.1067563738 -0.0801526006 0.02629511357 "
                "-0.04687307463 0.422769297"
            ),
            "student_b": (
                "0.1360623746 -0.2606090064 -0.2650871372 0.08842030755 0.005979698122 -0.07103821953 -0.2244826822 "
                "0.2546293083 0.3361253567"
            ),
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients_are_those_of_the_public_code(name):
    CASES[name].check()


@pytest.mark.parametrize(
    ("weights", "loss", "gradient"),
    [
        (
            (1, 0.5),
            1.83328977121,
            "0.0631149552 -0.02544596078 -0.2274761786 -0.0009721485733 -0.05583072901 -0.07138884397 -0.06214280663 "
            "0.08127668978 0.2988650226",
        ),
        (
            (0.5, 1),
            1.77669833111,
            "0.05045520773 -0.03155592567 -0.1845889619 -0.008330157254 -0.07305138792 -0.05615002776 -0.04212505047 "
            "0.1046073136 0.2407389896",
        ),
    ],
)
def test_regions_of_three_classes_are_those_of_mix_loss(weights, loss, gradient):
    """utils/BCP_utils.py:58-69 with mask_DiceLoss(nclass=3): the labeled image around the box, another label in it."""
    network, labeled = Pointwise(3, 0.9), wave_batch(3, 3, 4).labeled
    inside, other = box((4, 3, 5), (0, 1)), wave_labels((2, 4, 3, 5), 3, 1.9)
    logits = network(labeled.image[:2])
    outer = region_loss(logits, torch.where(inside, IGNORE, labeled.label[:2]), "dice_ce").mean()
    inner = region_loss(logits, torch.where(inside, other, IGNORE), "dice_ce").mean()
    total = weights[0] * outer + weights[1] * inner
    total.backward()
    assert total.item() == pytest.approx(loss, rel=1e-9)
    assert network.weight.grad.flatten().tolist() == pytest.approx([float(x) for x in gradient.split()], abs=1e-9)


@pytest.mark.parametrize(
    ("function", "loss", "gradient"),
    [
        (
            squared_distance,
            0.289825656663,
            "0.01076339277 -0.02180145749 -0.0579523164 0.004745343024 -0.001765185639 -0.003012210594 -0.01550873579 "
            "0.02356664313 0.06096452699",
        ),
        (
            distance_from_uniform,
            2.09150400412,
            "0.1085866408 -0.000519063832 -0.1204650002 0.07844277666 -0.1391478394 -0.2261256542 -0.1870294175 "
            "0.1396669032 0.3465906545",
        ),
    ],
)
def test_corrections_of_three_classes_are_sdcl_s(function, loss, gradient):
    """pancreas/losses.py:144-183 with three classes, at 98 of 120 voxels; the label of the box has the weight 1/2."""
    network, labeled = Pointwise(3, 0.9), wave_batch(3, 3, 4).labeled
    inside, other = box((4, 3, 5), (0, 1)), wave_labels((2, 4, 3, 5), 3, 1.9)
    logits, peer = (one(labeled.image[:2]) for one in (network, Pointwise(3, 1.3)))
    where = disagreement(logits, peer)
    assert where.sum() == 98
    found = function(logits, torch.where(inside, other, labeled.label[:2]), torch.where(inside, 0.5, 1.0), where)
    found.backward()
    assert found.item() == pytest.approx(loss, rel=1e-9)
    assert network.weight.grad.flatten().tolist() == pytest.approx([float(x) for x in gradient.split()], abs=1e-9)


def on_slices(loss):
    networks = {"model": Pointwise(4, 0.9), "teacher": Pointwise(4, 1.7)}
    strategy = BidirectionalCopyPaste(BidirectionalCopyPaste.Options(loss=loss), networks)
    strategy.coding = Classes(DiceForm(batch=True))
    total, gradients = loss_and_gradients(strategy, wave_batch(4, 2, 4, 4), SELF_TRAIN)
    return torch.tensor([total, *gradients["model"]], dtype=torch.float64)


def test_on_slices_the_cross_entropy_is_that_of_acdc():
    """ACDC_BCP_train.py:89-117,167-179,355-383, of which the cross entropies are half of the loss.

    There the two directions are the other way round. Its Dice has squared probabilities: the whole loss is lower.
    """
    recorded = (
        "4.35664091175 0.09222669196 -0.0006510123852 -0.1320694344 0.01873758965 -0.1125750019 -0.06316750442 "
        "-0.206226154 0.154450007 0.7393166488 0.09526187236 -0.04122399268 -0.54407971"
    )
    found = on_slices("dice_ce") - on_slices("dice") / 2
    assert found.tolist() == pytest.approx([float(x) for x in recorded.split()], abs=1e-9)
    assert on_slices("dice_ce")[0].item() / 5.55443743353 == pytest.approx(1.01231, abs=1e-5)
