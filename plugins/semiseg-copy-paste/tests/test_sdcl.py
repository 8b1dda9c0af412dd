"""SDCL: the losses where two networks disagree, by hand and as published, and what it takes over from BCP."""

from math import log

import pytest
import torch
import torch.nn.functional as F
from helpers_copy_paste import double_batch, with_other_teacher

from semiseg.engine.runtime import Runtime
from semiseg.engine.schedule import TrainingSchedule
from semiseg.interfaces.batch import Batch, Step
from semiseg.strategy_parts.mixing import copy_paste_masks
from semiseg.testing.steps import run_steps
from semiseg.testing.strategy import SIZE, StrategyContract
from semiseg.types import IGNORE
from semiseg_copy_paste.bcp import BidirectionalCopyPaste
from semiseg_copy_paste.components import largest_components
from semiseg_copy_paste.sdcl import SDCL, disagreement, distance_from_uniform, squared_distance

PRETRAIN = Step(3, 100, 10, "pretrain", 3, 22, seed=2)
SELF_TRAIN = Step(40, 100, 10, "self_train", 18, 78, seed=2)
VARIANT = {
    "pretrain_share": 0.5, "weight": 1, "side": 0.5, "largest_component": False, "predict_with": "model_b",
    "loss": "dice", "mse_weight": 0.3, "kl_weight": 0.1,
}  # fmt: skip


class TestSDCL(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return SDCL

    @pytest.fixture(params=[{}, VARIANT], ids=["published", "variant"])
    def options(self, request):
        return request.param


def made(**options):
    return with_other_teacher(SDCL, options)


def foreground(*probabilities):
    """Logits (1, 2, 1, n) with these probabilities of the second class."""
    p = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([1 - p, p]).log()[None, :, None].requires_grad_()


def row(*values, dtype=torch.float64):
    return torch.tensor([[values]], dtype=dtype)


# Four voxels: right, wrong, right but outside of D, and wrong as background.
LOGITS = (0.75, 0.25, 0.25, 0.75)
TARGET = row(1, 1, 0, 0, dtype=torch.int64)
WEIGHTS = row(1, 0.5, 1, 0.5)
WHERE = row(True, True, False, True, dtype=torch.bool)


def test_networks_disagree_where_their_classes_differ():
    assert disagreement(foreground(0.4, 0.6, 0.4, 0.6), foreground(0.1, 0.9, 0.6, 0.2)).tolist() == [
        [[False, False, True, True]]
    ]


def test_squared_distance_by_hand():
    """(1/16 + 9/16 / 2 + 9/16 / 2) / 3: weights are in the sum, and not in the number of voxels."""
    found = squared_distance(foreground(*LOGITS), TARGET, WEIGHTS, WHERE)
    assert found.item() == pytest.approx((1 / 16 + 9 / 32 + 9 / 32) / 3, abs=1e-12)


def test_distance_from_uniform_by_hand():
    """Two of the three voxels of D are wrong, each with weight 1/2 and -(log 1/4 + log 3/4) / 2."""
    logits = foreground(*LOGITS)
    found = distance_from_uniform(logits, TARGET, WEIGHTS, WHERE)
    assert found.item() == pytest.approx(-(log(1 / 4) + log(3 / 4)) / 4, abs=1e-12)
    found.backward()
    # d/dz of -(log p0 + log p1) / 2 is p - 1/2, of both voxels 1/4 there: toward less certainty alone.
    assert logits.grad[0, 1, 0].tolist() == pytest.approx([0, -1 / 16, 0, 1 / 16], abs=1e-12)


def test_three_classes_are_averaged():
    p = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    arguments = (p.log().reshape(1, 3, 1, 1), row(1, dtype=torch.int64), row(1.0), row(True, dtype=torch.bool))
    assert squared_distance(*arguments).item() == pytest.approx((0.25 + 9 / 16 + 1 / 16) / 3, abs=1e-12)
    assert distance_from_uniform(*arguments).item() == pytest.approx((log(2) + 2 * log(4)) / 3, abs=1e-12)


@pytest.mark.parametrize("loss", [squared_distance, distance_from_uniform])
def test_agreement_costs_nothing(loss):
    logits = foreground(*LOGITS)
    found = loss(logits, TARGET, WEIGHTS, torch.zeros_like(WHERE))
    found.backward()
    assert found.item() == 0
    assert not logits.grad.any()


def restated(logits, peer, target, weight):
    """One network's two losses of a direction, in plain words of the paper's code: (mse, kl)."""
    p, label = logits.softmax(1), F.one_hot(target, logits.shape[1]).movedim(-1, 1)
    apart = (logits.argmax(1) != peer.argmax(1)).double()
    wrong = apart * (logits.argmax(1) != target)
    mse = ((p - label) ** 2).mean(1) * weight
    kl = -p.log().mean(1) * weight
    return (mse * apart).sum() / apart.sum(), (kl * wrong).sum() / wrong.sum()


def test_each_network_has_bcp_s_loss_and_the_two_of_both_directions():
    strategy, batch = made(), double_batch(labeled=4, unlabeled=4)
    first, second, teacher = (strategy.networks[name] for name in ("model_a", "model_b", "teacher"))
    l, u = batch.labeled, batch.unlabeled  # noqa: E741
    box = copy_paste_masks(SIZE, l.slots[::2], SELF_TRAIN, "bcp")
    taught = largest_components(teacher(u.image).argmax(1))
    directions = []
    for labeled_box in (False, True):
        inside, outside = (l.image[1::2], u.image[1::2]) if labeled_box else (u.image[::2], l.image[::2])
        target_in, target_out = (l.label[1::2], taught[1::2]) if labeled_box else (taught[::2], l.label[::2])
        image, target = torch.where(box[:, None], inside, outside), torch.where(box, target_in, target_out)
        directions.append((image, target, torch.where(box == labeled_box, 1.0, 0.5)))
    of_bcp = StrategyContract.make(BidirectionalCopyPaste, {}).double()
    of_bcp.networks["teacher"].load_state_dict(teacher.state_dict())
    found = list(strategy.losses(batch, SELF_TRAIN))
    assert [losses.updates for losses in found] == [{"model_a"}, {"model_b"}]
    for losses, network, peer in zip(found, (first, second), (second, first), strict=True):
        of_bcp.networks["model"].load_state_dict(network.state_dict())
        (bcp,) = of_bcp.losses(batch, SELF_TRAIN)
        each = [restated(network(image), peer(image), target, weight) for image, target, weight in directions]
        mse, kl = (sum(values) for values in zip(*each, strict=True))
        assert losses.parts["mse"].item() == pytest.approx(mse.item(), abs=1e-12)
        assert losses.parts["kl"].item() == pytest.approx(kl.item(), abs=1e-12)
        assert losses.total.item() == pytest.approx((bcp.total + 0.5 * mse + 0.05 * kl).item(), abs=1e-12)
        wanted = torch.autograd.grad(0.5 * mse + 0.05 * kl, list(network.parameters()))
        wanted = [
            a + b
            for a, b in zip(
                wanted, torch.autograd.grad(bcp.total, list(of_bcp.networks["model"].parameters())), strict=True
            )
        ]
        assert all(map(torch.allclose, torch.autograd.grad(losses.total, list(network.parameters())), wanted))
    apart = torch.stack(
        [(first(image).argmax(1) != second(image).argmax(1)).double().mean() for image, *_ in directions]
    )
    assert found[0].parts["disagree"].item() == pytest.approx(apart.mean().item(), abs=1e-6)
    assert "disagree" not in found[1].parts


def test_pretraining_is_bcp_s_of_both_networks():
    strategy, batch = made(), double_batch(labeled=4, unlabeled=2)
    of_bcp = StrategyContract.make(BidirectionalCopyPaste, {}).double()
    for losses, role in zip(strategy.losses(batch, PRETRAIN), ("model_a", "model_b"), strict=True):
        of_bcp.networks["model"].load_state_dict(strategy.networks[role].state_dict())
        (wanted,) = of_bcp.losses(batch, PRETRAIN)
        assert losses.total.item() == pytest.approx(wanted.total.item(), abs=1e-12)
        assert losses.parts.keys() == {"supervised"}


def test_both_networks_see_the_same_mixes():
    strategy, seen = made(), []
    for role in ("model_a", "model_b"):
        strategy.networks[role].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    for step in (PRETRAIN, SELF_TRAIN):
        seen.clear()
        list(strategy.losses(double_batch(), step))
        assert len(seen) == 2
        assert torch.equal(*seen)


def test_ignored_voxels_are_in_no_loss():
    strategy, batch = made(), double_batch(labeled=2, unlabeled=2)
    strategy.networks["model_a"] = torch.nn.Conv3d(2, 3, 1).double()  # so that a voxel's logits are of that voxel
    strategy.networks["model_b"] = torch.nn.Conv3d(2, 3, 1).double()
    label = batch.labeled.label.clone()
    label[:, ::2] = IGNORE
    parts = []
    for changed in (False, True):
        image = batch.labeled.image.clone()
        if changed:
            image[:, :, ::2] *= -3
        labeled = type(batch.labeled)(
            image, 2, batch.labeled.slots, batch.labeled.cases, label, batch.labeled.targets, has_ignored=True
        )
        parts.append([losses.parts for losses in strategy.losses(Batch(labeled, batch.unlabeled), SELF_TRAIN)])
    assert parts[0][0]["mse"] > 0
    assert parts[0] == parts[1]


def test_the_teacher_is_the_average_of_the_first_network():
    strategy = made(pretrain_share=0.4, decay=0.9)
    table = TrainingSchedule(strategy.stages(), 10, 1, 1, seed=1)
    first, teacher = strategy.networks["model_a"], strategy.networks["teacher"]
    average = None
    for index in range(7):
        run_steps(strategy, [(double_batch(labeled=2, unlabeled=2), table.step(index))], Runtime("cpu", "32"), lr=0.5)
        now = [p.detach().clone() for p in first.parameters()]
        average = now if index < 4 else [0.9 * a + 0.1 * p for a, p in zip(average, now, strict=True)]
        assert all(torch.allclose(p, a, atol=1e-14) for p, a in zip(teacher.parameters(), average, strict=True))
    assert not torch.equal(now[0], average[0])


def test_the_stages_keep_the_optimizers():
    first, second = made().stages()
    assert first.share == pytest.approx(80 / 355)
    assert (first.reset, second.reset) == ("none", "none")
    assert (first.unlabeled, second.unlabeled) == (False, True)


@pytest.mark.parametrize(
    ("name", "predicting"), [("mean", "model_a model_b"), ("model_a", "model_a"), ("model_b", "model_b")]
)
def test_the_networks_of_the_option_predict(name, predicting):
    strategy, images = made(predict_with=name), double_batch().images()
    wanted = [
        strategy.networks[role](images).softmax(1) for role in ("model_a", "model_b") if role in predicting.split()
    ]
    assert torch.allclose(strategy.predict(images), sum(wanted) / len(wanted))


def test_the_second_network_is_another_backbone_and_the_teacher_the_first_s():
    roles = {role.name: role for role in SDCL.roles(SDCL.Options())}
    assert (roles["model_a"].backbone, roles["model_b"].backbone) == (None, "vnet")
    assert roles["teacher"].initialized_like == "model_a"
