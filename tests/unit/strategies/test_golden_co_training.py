"""Losses and gradients of the public code of CPS and cross teaching (``semiseg.testing.published.golden``)."""

from dataclasses import replace

import pytest
import torch

from semiseg.interfaces.batch import Step
from semiseg.losses.dice_form import DiceForm
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.strategies.cross_teaching import CrossTeaching
from semiseg.testing.published.golden import Golden, Pointwise, loss_and_gradients, wave_batch

SSL4MIS = "HiLab-git/SSL4MIS@06df604:code"
LUQUE = "lidialuq/brats-semisup@9d4557a:trainer/trainer.py:184-221, train_semi.py:32-33,75"
CHEN = "charlesCXK/TorchSemiSeg@5e0c29c:exp.voc/voc8.res50v3+.CPS/train.py:179-220, config.py:74"
CTCT = f"{SSL4MIS}/train_cross_teaching_between_cnn_transformer_2D.py:222-248, utils/losses.py:19-27 for Dice"
STUDENTS = {"student_a": 0.9, "student_b": 1.7}
ALL_BACKGROUND = {"student_a": 0.9, "student_b": lambda classes: Pointwise(classes, 1.7, background=60.0)}
"""The second network's argmax is background everywhere."""
NO_BACKGROUND, BATCH = DiceForm(background=False), DiceForm(batch=True)
AS_CHEN = {"loss": "cross_entropy", "pseudo_loss": "cross_entropy", "phi": 1.5, "wait_share": 0}
AS_SSL4MIS = {"loss": "dice_ce", "pseudo_loss": "cross_entropy", "pseudo_on": "unlabeled", "phi": 0.2, "wait_share": 0}

CASES = {
    "cps, 4 classes": Golden(
        source=LUQUE,
        strategy=CrossPseudoSupervision,
        options={"loss": "dice"},
        form=NO_BACKGROUND,
        networks=STUDENTS,
        classes=4,
        loss=2.53801789931,
        gradients={
            "student_a": (
                "0.002482113342 0.009501651109 0.02317643892 0.01315951739 0.007562625076 -0.01814535156 "
                "-0.009711405319 -0.03307973137 0.01544220485 -0.005930225411 0.01601545518 -0.02047329221"
            ),
            "student_b": (
                "0.002824515604 -0.0007166129298 0.004004839791 -0.008734380418 -0.002474490666 -0.01306170699 "
                "0.01628799834 -0.01754357927 -0.02975558247 -0.01037813353 0.02073468287 0.03881244967"
            ),
        },
    ),
    "cps, 2 classes": Golden(
        source=f"{LUQUE}, with num_classes=2",
        strategy=CrossPseudoSupervision,
        options={"loss": "dice"},
        form=NO_BACKGROUND,
        networks=STUDENTS,
        classes=2,
        loss=2.35557503916,
        gradients={
            "student_a": "-0.04694160815 -0.01215065986 0.0833894186 0.04694160815 0.01215065986 -0.0833894186",
            "student_b": "-0.0178387008 -0.03717563703 0.06577357457 0.0178387008 0.03717563703 -0.06577357457",
        },
    ),
    "cps, pseudo-labels of background alone": Golden(
        source=LUQUE,
        strategy=CrossPseudoSupervision,
        options={"loss": "dice"},
        form=NO_BACKGROUND,
        networks=ALL_BACKGROUND,
        classes=4,
        loss=2.36180132971,
        gradients={
            "student_a": (
                "0.002175038619 -0.002345887615 0.01016953365 0.01190491897 0.008166050685 -0.01806489734 "
                "-0.01320835759 -0.009551167875 0.01324134183 -0.0008715999962 0.003731004804 -0.005345978145"
            ),
            "student_b": (
                "7.886826207e-18 -3.686968517e-18 -9.181572264e-18 -2.784803085e-20 3.827664942e-20 5.19254843e-20 "
                "2.130383209e-24 -2.077909536e-24 -2.793880789e-24 -7.858980307e-18 3.648693946e-18 9.129649573e-18"
            ),
        },
    ),
    "cps, epoch 15 of 1000, the last of the wait": Golden(
        source=f"{LUQUE}; epochs are counted from 1, trainer/base_trainer.py:92",
        strategy=CrossPseudoSupervision,
        options={"loss": "dice", "wait_epochs": 15},
        form=NO_BACKGROUND,
        step=Step(14 * 250 + 249, 250_000, 250),
        networks=STUDENTS,
        classes=4,
        loss=1.6953290606,
        gradients={
            "student_a": (
                "0.002175185485 -0.002346050793 0.01016978042 0.01190494994 0.008166094365 -0.01806499139 "
                "-0.01320827043 -0.009551496884 0.01324180304 -0.0008718649907 0.003731453313 -0.005346592065"
            ),
            "student_b": (
                "0.003057559294 -0.0007355569903 0.003893331266 -0.00872963731 -0.004182130672 -0.01499255195 "
                "0.003765537284 -0.002247521226 -0.002330079958 0.001906540732 0.007165208888 0.01342930064"
            ),
        },
    ),
    "original cps, 2 classes": Golden(
        source=CHEN,
        strategy=CrossPseudoSupervision,
        options=AS_CHEN,
        networks=STUDENTS,
        classes=2,
        spatial_dims=2,
        loss=7.64568369915,
        gradients={
            "student_a": "-0.3284075316 0.7619444301 0.5044046831 0.3284075316 -0.7619444301 -0.5044046831",
            "student_b": "0.3760315631 -0.7925479738 -0.8154730679 -0.3760315631 0.7925479738 0.8154730679",
        },
    ),
    "original cps, 3 classes": Golden(
        source=CHEN,
        strategy=CrossPseudoSupervision,
        options=AS_CHEN,
        networks=STUDENTS,
        classes=3,
        spatial_dims=2,
        loss=6.12195706116,
        gradients={
            "student_a": (
                "-0.1026713986 0.2706833292 -0.3604499888 0.04104214681 -0.1410823678 -0.03581332255 0.06162925175 "
                "-0.1296009614 0.3962633114"
            ),
            "student_b": (
                "0.1346353378 -0.365118863 -0.251102966 0.1115965661 -0.0003828276014 -0.02612414131 -0.2462319039 "
                "0.3655016906 0.2772271073"
            ),
        },
    ),
    "cps of SSL4MIS after its ramp-up, twice the loss": Golden(
        source=f"{SSL4MIS}/train_cross_pseudo_supervision_3D.py:154-177, utils/losses.py:19-27 for Dice",
        strategy=CrossPseudoSupervision,
        options=AS_SSL4MIS,
        form=BATCH,
        networks=STUDENTS,
        classes=3,
        times=2,
        loss=3.07654972499,
        gradients={
            "student_a": (
                "0.02868132796 0.01399549955 -0.1793997969 0.01062409657 -0.03868486388 -0.06181591301 "
                "-0.03930542453 0.02468936433 0.2412157099"
            ),
            "student_b": (
                "0.06079996331 -0.08187182733 -0.179098563 0.03544359624 -0.0009903662649 -0.06142533591 "
                "-0.09624355955 0.0828621936 0.2405238989"
            ),
        },
    ),
    "cross teaching, 2 classes, twice the loss": Golden(
        source=CTCT,
        strategy=CrossTeaching,
        options={"loss": "dice_ce", "weight": 0.2},
        form=BATCH,
        networks=STUDENTS,
        classes=2,
        times=2,
        loss=1.66258721916,
        gradients={
            "student_a": "0.01558660057 0.0788341953 -0.001333884143 -0.01558660057 -0.0788341953 0.001333884143",
            "student_b": "0.07433875739 -0.1128265492 -0.1807645829 -0.07433875739 0.1128265492 0.1807645829",
        },
    ),
    "cross teaching, 3 classes, 2D, twice the loss": Golden(
        source=CTCT,
        strategy=CrossTeaching,
        options={"loss": "dice_ce", "weight": 0.2},
        form=BATCH,
        networks=STUDENTS,
        classes=3,
        spatial_dims=2,
        times=2,
        loss=3.01254701457,
        gradients={
            "student_a": (
                "0.03483255458 -0.01352743358 -0.1666006323 0.007968215737 -0.01183545571 -0.09620683632 "
                "-0.04280077031 0.02536288929 0.2628074686"
            ),
            "student_b": (
                "0.07299704928 -0.0840015618 -0.162467851 0.02077615558 0.006891861128 -0.08768745743 "
                "-0.09377320485 0.07710970067 0.2501553084"
            ),
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients_are_those_of_the_public_code(name):
    CASES[name].check()


def test_the_wait_ends_with_the_epoch():
    """The first step of epoch 16 has the loss with pseudo-labels, as in the code."""
    last = CASES["cps, epoch 15 of 1000, the last of the wait"]
    after = replace(CASES["cps, 4 classes"], options=last.options, step=replace(last.step, index=15 * 250))
    after.check()


@pytest.mark.parametrize("name", ["cps, 4 classes", "original cps, 3 classes"])
def test_equation_3_as_printed_is_not_what_the_code_computes(name):
    """With two means instead of one, pseudo-labels have twice the weight (as many labeled samples as unlabeled)."""
    golden = CASES[name]
    printed = replace(golden, options={**golden.options, "pseudo_mean": "each_stream"})
    halved = replace(printed, options={**printed.options, "phi": golden.options.get("phi", 0.5) / 2})
    halved.check()
    assert printed.ratio() > 1.2


@pytest.mark.parametrize(("form", "share"), [(NO_BACKGROUND, (0, 1e-4)), (DiceForm(), (0.1, 1))])
def test_pseudo_labels_of_background_teach_only_where_dice_has_the_background(form, share):
    """``share``: bounds of the size of their gradient, relative to the supervised loss's."""
    golden = replace(CASES["cps, pseudo-labels of background alone"], form=form)
    both, supervised = (
        torch.tensor(loss_and_gradients(one.made(), wave_batch(4, 3), one.step)[1]["student_a"])
        for one in (golden, replace(golden, options={**golden.options, "phi": 0}))
    )
    assert share[0] <= (both - supervised).norm() / supervised.norm() < share[1]


@pytest.mark.parametrize(
    ("name", "loss", "ratio"),
    [
        ("cps of SSL4MIS after its ramp-up, twice the loss", 3.01707842935, 1.01971),
        ("cross teaching, 3 classes, 2D, twice the loss", 2.94848098984, 1.02173),
    ],
)
def test_squared_probabilities_make_the_public_dice_lower(name, loss, ratio):
    """``loss``: of the same code with its own Dice, (2 sum(p t) + s) / (sum(p^2) + sum(t) + s)."""
    assert replace(CASES[name], loss=loss).ratio() / 2 == pytest.approx(ratio, abs=1e-5)
