"""Losses and gradients of the public code of methods with one network (``semiseg.testing.published.golden``).

The Dice of SSL4MIS and UniMatch has squared probabilities. Their numbers here are those of their code with SSL4MIS's
own ``dice_loss1`` (utils/losses.py:19-27, no squares) for each class.
"""

from dataclasses import replace

import pytest

from semiseg.codings.classes import Classes
from semiseg.interfaces.batch import Step
from semiseg.losses.dice_form import DiceForm
from semiseg.strategies.entropy_minimization import EntropyMinimization
from semiseg.strategies.fixmatch import FixMatch
from semiseg.strategies.pi_model import PiModel
from semiseg.strategies.pseudo_label import PseudoLabel
from semiseg.strategies.self_training import SelfTraining
from semiseg.strategies.supervised import Supervised
from semiseg.strategy_parts.confidence import confident_labels, masked_loss
from semiseg.testing.published.golden import Golden, Pointwise, wave_batch

SSL4MIS = "HiLab-git/SSL4MIS@06df604:code"
USB = "microsoft/Semi-supervised-learning@1ef4cbe:semilearn/algorithms"
ENTROPY = f"{SSL4MIS}/train_entropy_minimization_3D.py:130-141"
MODEL = {"model": 0.9}
BATCH = DiceForm(batch=True)
FIFTH = Step(20, 100, 10)
"""Half of a ramp-up over 40 % of training."""


def confident(classes):
    return Pointwise(classes, 0.9, scale=4.0)


CASES = {
    "supervised, without background": Golden(
        source="lidialuq/brats-semisup@9d4557a:trainer/trainer.py:184-193, train.py:62 (include_background=False)",
        strategy=Supervised,
        options={"loss": "dice"},
        form=DiceForm(background=False),
        networks=MODEL,
        classes=4,
        loss=0.861803176439,
        gradients={
            "model": (
                "0.002175185485 -0.002346050793 0.01016978042 0.01190494994 0.008166094365 -0.01806499139 "
                "-0.01320827043 -0.009551496884 0.01324180304 -0.0008718649907 0.003731453313 -0.005346592065"
            ),
        },
    ),
    "supervised, twice half the sum of both losses": Golden(
        source=f"{SSL4MIS}/train_fully_supervised_3D.py:96-102",
        strategy=Supervised,
        options={"loss": "dice_ce"},
        form=BATCH,
        networks=MODEL,
        classes=3,
        times=2,
        loss=1.29393909775,
        gradients={
            "model": (
                "0.03908749039 -0.003867881027 -0.1785398733 0.01023125038 -0.03134133591 -0.07155245777 "
                "-0.04931874076 0.03520921694 0.250092331"
            ),
        },
    ),
    "entropy, 2 classes": Golden(
        source=f"{ENTROPY}, utils/losses.py:30-36 (there ln(p + 1e-6))",
        strategy=EntropyMinimization,
        options={"weight": 0.2},
        form=BATCH,
        networks=MODEL,
        classes=2,
        times=2,
        relative=2e-6,
        loss=0.76309415084,
        gradients={
            "model": "0.01709786869 0.07636947384 -0.002589424863 -0.01709786869 -0.07636947384 0.002589424863",
        },
    ),
    "entropy, 3 classes": Golden(
        source=f"{ENTROPY}, utils/losses.py:30-36 with C=3 (there ln(p + 1e-6))",
        strategy=EntropyMinimization,
        options={"weight": 0.2},
        form=BATCH,
        networks=MODEL,
        classes=3,
        times=2,
        relative=2e-6,
        loss=1.31211163127,
        gradients={
            "model": (
                "0.03729884124 -0.003023131237 -0.1762720813 0.01009319617 -0.03178557255 -0.07014883329 "
                "-0.04739203741 0.03480870378 0.2464209146"
            ),
        },
    ),
    "pseudo-labels, 2 classes": Golden(
        source=f"{USB}/pseudolabel/pseudolabel.py:44-77, each voxel a sample",
        strategy=PseudoLabel,
        options={"loss": "cross_entropy"},
        step=FIFTH,
        networks={"model": confident},
        classes=2,
        loss=1.74202077645,
        gradients={
            "model": "0.04059012936 0.1741199014 -0.004665857932 -0.04059012936 -0.1741199014 0.004665857932",
        },
    ),
    "pseudo-labels, 3 classes, 2D": Golden(
        source=f"{USB}/pseudolabel/pseudolabel.py:44-77, each pixel a sample",
        strategy=PseudoLabel,
        options={"loss": "cross_entropy"},
        step=FIFTH,
        networks={"model": confident},
        classes=3,
        spatial_dims=2,
        loss=3.10628215157,
        gradients={
            "model": (
                "0.1207244904 -0.05357900386 -0.3424357963 0.01201197883 -0.02210055308 -0.201441468 -0.1327364692 "
                "0.07567955693 0.5438772643"
            ),
        },
    ),
    "fixmatch, 2 classes": Golden(
        source=f"{USB}/fixmatch/fixmatch.py:48-98, each voxel a sample",
        strategy=FixMatch,
        options={"loss": "cross_entropy"},
        networks={"model": confident},
        classes=2,
        loss=1.8243977763,
        gradients={
            "model": "0.0567056976 0.1973987349 -0.07119191586 -0.0567056976 -0.1973987349 0.07119191586",
        },
    ),
    "fixmatch, 3 classes, 2D": Golden(
        source=f"{USB}/fixmatch/fixmatch.py:48-98, each pixel a sample",
        strategy=FixMatch,
        options={"loss": "cross_entropy"},
        networks={"model": confident},
        classes=3,
        spatial_dims=2,
        loss=3.1153874873,
        gradients={
            "model": (
                "0.1200014567 -0.05438710843 -0.3414919411 0.006542907889 -0.02561096917 -0.1937296017 "
                "-0.1265443646 0.0799980776 0.5352215428"
            ),
        },
    ),
    "fixmatch, labeled by a moving average": Golden(
        source=f"{SSL4MIS}/train_fixmatch_cta.py:268-295",
        strategy=FixMatch,
        options={
            "labels_from": "teacher",
            "threshold": 0,
            "pseudo_loss": "dice_ce",
            "loss": "dice_ce",
            "weight": 0.1,
            "ramp": "sigmoid",
            "ramp_share": 1,
        },
        form=BATCH,
        networks={"model": 0.9, "teacher": 1.7},
        classes=3,
        spatial_dims=2,
        loss=2.60756828142,
        gradients={
            "model": (
                "0.07059399908 -0.0249959811 -0.3373009985 0.01467306067 -0.0262592187 -0.1883559003 -0.08526705975 "
                "0.0512551998 0.5256568988"
            ),
        },
    ),
    "pi-model, 2 classes": Golden(
        source=f"{USB}/pimodel/pimodel.py:35-62, each voxel a sample",
        strategy=PiModel,
        options={"loss": "cross_entropy", "flips": False},
        step=FIFTH,
        networks=MODEL,
        classes=2,
        loss=1.18181837112,
        gradients={
            "model": "0.1332791547 0.2771366293 -0.3137951706 -0.1332791547 -0.2771366293 0.3137951706",
        },
    ),
    "pi-model, 3 classes, 2D": Golden(
        source=f"{USB}/pimodel/pimodel.py:35-62, each pixel a sample",
        strategy=PiModel,
        options={"loss": "cross_entropy", "flips": False},
        step=FIFTH,
        networks=MODEL,
        classes=3,
        spatial_dims=2,
        loss=1.91914068725,
        gradients={
            "model": (
                "0.07386348672 0.01349275525 -0.3971839611 0.006370128663 -0.06061615727 -0.1384008448 "
                "-0.08023361539 0.04712340201 0.5355848059"
            ),
        },
    ),
    # The public code shuffles labeled and pseudo-labeled samples into one batch with one mean.
    "self-training, 2 classes, of as many samples of both kinds": Golden(
        source="LiheYoung/ST-PlusPlus@f4e7a57:main.py:60,208-211",
        strategy=SelfTraining,
        options={"loss": "cross_entropy"},
        networks=MODEL,
        classes=2,
        times=2,
        loss=0.984647921532,
        gradients={
            "model": "0.01935119198 0.1116402272 0.04310360267 -0.01935119198 -0.1116402272 -0.04310360267",
        },
    ),
    "self-training, 3 classes, 2D": Golden(
        source="LiheYoung/ST-PlusPlus@f4e7a57:main.py:60,208-211",
        strategy=SelfTraining,
        options={"loss": "cross_entropy"},
        networks=MODEL,
        classes=3,
        spatial_dims=2,
        times=2,
        loss=1.67090650913,
        gradients={
            "model": (
                "0.1054957609 0.01871220891 -0.2708725395 0.02372519258 -0.04056245147 -0.1080429656 -0.1292209535 "
                "0.02185024256 0.378915505"
            ),
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients_are_those_of_the_public_code(name, monkeypatch):
    """The strong view of the references is 0.6 x - 0.3 too."""
    for module in ("fixmatch", "pi_model", "self_training"):
        monkeypatch.setattr(f"semiseg.strategies.{module}.strong_view", lambda images, *_: 0.6 * images - 0.3)
    CASES[name].check()


@pytest.mark.parametrize(
    ("name", "loss", "ratio"),
    [
        ("supervised, twice half the sum of both losses", 1.25672056246, 1.02962),
        ("entropy, 2 classes", 0.732840812238, 1.04128),
        ("fixmatch, labeled by a moving average", 2.53021465962, 1.03057),
    ],
)
def test_squared_probabilities_make_the_public_dice_lower(name, loss, ratio, monkeypatch):
    """``loss``: of the same code with its own Dice, (2 sum(p t) + s) / (sum(p^2) + sum(t) + s)."""
    monkeypatch.setattr("semiseg.strategies.fixmatch.strong_view", lambda images, *_: 0.6 * images - 0.3)
    assert replace(CASES[name], loss=loss).ratio() / CASES[name].times == pytest.approx(ratio, abs=1e-5)


def test_the_dice_of_confident_voxels_is_unimatch_s_without_squares():
    """LiheYoung/UniMatch@0324f3d:more-scenarios/medical/unimatch.py:151-167, util/utils.py:14-50.

    With the squares of its own Dice the loss is 0.664776, and the gradient differs by 70 %.
    """
    network, unlabeled = confident(3), wave_batch(3, 2).unlabeled.image
    labels = confident_labels(network(unlabeled), 0.95)
    found = masked_loss(network(0.6 * unlabeled - 0.3), labels, "dice", Classes(BATCH)).mean()
    found.backward()
    loss = 0.673130908145
    gradient = (
        "-0.001185703081 -0.0001028478563 0.001473467123 -0.00325338485 -0.002000878746 0.004642253325 "
        "0.004439087932 0.002103726603 -0.006115720448 "
    )
    assert found.item() == pytest.approx(loss, rel=1e-9)
    assert network.weight.grad.flatten().tolist() == pytest.approx([float(x) for x in gradient.split()], abs=1e-9)
