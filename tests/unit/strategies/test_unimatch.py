"""UniMatch: the loss written out, dropped features, and its second version."""

import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from pydantic import ValidationError

from semiseg.interfaces.batch import Step
from semiseg.strategies.unimatch import UniMatch
from semiseg.strategy_parts.feature_dropout import DroppedFeatures, feature_seeds
from semiseg.strategy_parts.mixing import one_box_masks
from semiseg.strategy_parts.views import strong_view
from semiseg.testing.batches import in_double
from semiseg.testing.strategy import StrategyContract, make_batch
from semiseg.testing.tiny import TinyBackbone
from semiseg.types import IGNORE, Task

DICE = DiceLoss(softmax=True, to_onehot_y=True)
STEP = Step(40, 100, 10)
VIEWS = ("unimatch/1", "unimatch/2")
TASK = Task(1, ("background", "a", "b"), (8, 8, 8))


def made(**options):
    return StrategyContract.make(UniMatch, {"loss": "dice", "threshold": 0.0, **options}).double()


def double_batch(**sizes):
    return in_double(make_batch(**sizes))


def mixed_views(batch, labels, options):
    """Each strong view with its labels: a box of the pair's other sample in both."""
    slots, pair, shape = batch.unlabeled.slots, [1, 0], tuple(batch.unlabeled.image.shape[2:])
    for name in VIEWS:
        view = strong_view(batch.unlabeled.image, slots, STEP, name, 1.0)
        masks = one_box_masks(shape, slots, STEP, f"{name}/cutmix", options.cutmix_side, options.cutmix)
        yield torch.where(masks[:, None], view[pair], view), torch.where(masks, labels[pair], labels)


def test_two_strong_views_and_dropped_features_count_half_each_beside_half_of_the_supervised_loss():
    """The public code, times 4: 1/2 [(D + CE) / 2 + (L(s1) + L(s2)) / 4 + L(fp) / 2]."""
    strategy, batch = made(loss="dice_ce", cutmix=1.0), double_batch(labeled=2, unlabeled=2)
    network = strategy.networks["model"]
    labels = network(batch.unlabeled.image).logits.argmax(1)
    each = [
        DICE(network(image).logits, target[:, None]) for image, target in mixed_views(batch, labels, strategy.options)
    ]
    seeds = torch.tensor(feature_seeds(batch.unlabeled.slots, STEP, "unimatch/features"))
    (dropped,) = network(batch.unlabeled.image, seeds).decoders
    logits = network(batch.labeled.image).logits
    supervised = DICE(logits, batch.labeled.label[:, None]) + F.cross_entropy(logits, batch.labeled.label)
    theirs = (supervised / 2 + sum(each) / 4 + DICE(dropped, labels[:, None]) / 2) / 2
    (losses,) = strategy.losses(batch, STEP)
    assert losses.total.item() == pytest.approx(4 * theirs.item(), abs=1e-12)
    found = torch.autograd.grad(losses.total, list(strategy.parameters()))
    wanted = torch.autograd.grad(4 * theirs, list(strategy.parameters()))
    assert all(torch.allclose(a, b, atol=1e-12, rtol=1e-9) for a, b in zip(found, wanted, strict=True))


def test_the_second_version_is_one_loss_of_two_views_with_a_teacher_s_labels():
    """UniMatch V2, times 2: 1/2 [Lx + (L1 + L2) / 2], cross entropy over accepted and all voxels."""
    options = {"feature_dropout": "complementary", "labels_from": "teacher", "teacher_mode": "eval", "buffers": "ema"}
    strategy = made(**options, pseudo_loss="cross_entropy", loss="cross_entropy", threshold=0.4, cutmix=1.0)
    batch = double_batch(labeled=2, unlabeled=2)
    model, teacher = strategy.networks["model"], strategy.networks["teacher"]
    sure, labels = teacher(batch.unlabeled.image).logits.softmax(1).max(1)
    labels = torch.where(sure >= 0.4, labels, IGNORE)
    assert 0 < (labels == IGNORE).double().mean() < 1
    seeds = torch.tensor(feature_seeds(batch.unlabeled.slots, STEP, "unimatch/features"))
    views = list(mixed_views(batch, labels, strategy.options))
    logits = model(torch.cat([image for image, _ in views]), seeds).logits
    targets = torch.cat([target for _, target in views])
    entropy = F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="none").mean()
    expected = F.cross_entropy(model(batch.labeled.image).logits, batch.labeled.label) + entropy
    (losses,) = strategy.losses(batch, STEP)
    assert losses.total.item() == pytest.approx(expected.item(), abs=1e-12)


class Kept(torch.nn.Module):
    """A split network whose features are the image and whose logits are the features."""

    def __init__(self):
        super().__init__()
        self.none = torch.nn.Identity()

    def encode(self, images):
        return (images, images[..., ::2, ::2, ::2])

    def decode(self, features):
        self.decoded = features
        return features

    def classify(self, decoded):
        return decoded[0]


def dropped(way, rates=()):
    network = DroppedFeatures(TinyBackbone(), TASK, way, rates)
    network.network = Kept()
    return network


def test_a_channel_is_dropped_whole_or_scaled_by_the_complement():
    network, ones = dropped("separate", (0.25,)), torch.ones((40, 50, 4, 4, 4))
    outputs = network(ones, torch.arange(30))
    assert torch.equal(outputs.logits, ones)
    (found,) = outputs.decoders
    assert len(found) == 30  # the last samples
    channels = found.flatten(2)
    assert torch.equal(channels.amin(2), channels.amax(2))
    assert channels.amin(2).unique().tolist() == pytest.approx([0, 4 / 3])
    assert (channels.amin(2) == 0).double().mean().item() == pytest.approx(0.25, abs=0.03)
    alone = network(ones[:1], torch.tensor([7]))
    assert torch.equal(alone.decoders[0][0], found[7])  # a sample's draw depends on its seed alone


def test_complementary_views_have_each_channel_once():
    network, ones = dropped("complementary"), torch.ones((5 + 2 * 200, 16, 4, 4, 4))
    found = network(ones, torch.arange(200)).logits[..., 0, 0, 0]
    labeled, first, second = found.split([5, 200, 200])
    assert torch.equal(labeled, torch.ones((5, 16)))
    assert torch.equal(first + second, torch.full((200, 16), 2.0))
    untouched = (first == 1).all(1)
    assert untouched.double().mean().item() == pytest.approx(0.5, abs=0.1)
    assert set(first[~untouched].unique().tolist()) == {0.0, 2.0}


def test_rates_without_separate_features_are_refused():
    with pytest.raises(ValidationError, match="rates are for feature_dropout: separate"):
        UniMatch.Options(feature_dropout="none", rates=(0.3,))
