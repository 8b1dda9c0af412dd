"""What pseudo_label and fixmatch share: labels of the model or its average, hard or soft, and mixed samples."""

import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from pydantic import ValidationError

from semiseg.codings.regions import Regions
from semiseg.interfaces.batch import Step
from semiseg.strategies.fixmatch import FixMatch
from semiseg.strategies.pseudo_label import PseudoLabel
from semiseg.strategy_parts.confidence import soft_cross_entropy
from semiseg.strategy_parts.mixing import one_box_masks
from semiseg.testing.batches import in_double
from semiseg.testing.strategy import StrategyContract, make_batch

DICE = DiceLoss(softmax=True, to_onehot_y=True)
STEP = Step(60, 100, 10)
BOTH = pytest.mark.parametrize("cls", [FixMatch, PseudoLabel])


def made(cls, **options):
    options = {"loss": "dice", "threshold": 0.4, "ramp": "constant", **options}
    if cls is FixMatch:
        options |= {"strength": 0, "cut_out": 0}  # the strong view is the weak one
    return StrategyContract.make(cls, options).double()


def double_batch(**sizes):
    return in_double(make_batch(**sizes))


@BOTH
@pytest.mark.parametrize("by", ["model", "teacher"])
def test_soft_labels_are_probabilities_where_they_are_sure(cls, by):
    strategy, batch = made(cls, labels="soft", labels_from=by), double_batch(labeled=1, unlabeled=2)
    networks = strategy.networks
    if by == "teacher":
        with torch.no_grad():
            for parameter in networks["teacher"].parameters():
                parameter.mul_(1.1)
    soft = networks[by](batch.unlabeled.image).softmax(1).detach()
    sure = soft.amax(1) >= 0.4
    assert 0 < sure.double().mean() < 1
    each = F.cross_entropy(networks["model"](batch.unlabeled.image), soft, reduction="none")
    expected = DICE(networks["model"](batch.labeled.image), batch.labeled.label[:, None]) + (each * sure).mean()
    (losses,) = strategy.losses(batch, STEP)
    assert losses.total.item() == pytest.approx(expected.item(), abs=1e-12)
    wanted = torch.autograd.grad(expected, list(networks["model"].parameters()))
    found = torch.autograd.grad(losses.total, list(networks["model"].parameters()))
    assert all(torch.allclose(a, b, atol=1e-13, rtol=1e-9) for a, b in zip(found, wanted, strict=True))


@BOTH
def test_the_average_labels_whole_samples_of_which_boxes_are_mixed(cls):
    strategy = made(cls, labels_from="teacher", cutmix=1.0, threshold=0)
    batch = double_batch(labeled=1, unlabeled=2)
    labels = strategy.networks["teacher"](batch.unlabeled.image).argmax(1)
    shape, side = tuple(batch.unlabeled.image.shape[2:]), strategy.options.cutmix_side
    masks = one_box_masks(shape, batch.unlabeled.slots, STEP, "fixmatch/cutmix", side, 1.0)
    images = torch.where(masks[:, None], batch.unlabeled.image[[1, 0]], batch.unlabeled.image)
    labels = torch.where(masks, labels[[1, 0]], labels)
    model = strategy.networks["model"]
    expected = DICE(model(batch.labeled.image), batch.labeled.label[:, None]) + F.cross_entropy(model(images), labels)
    (losses,) = strategy.losses(batch, STEP)
    assert losses.total.item() == pytest.approx(expected.item(), abs=1e-12)


def test_regions_have_the_mean_binary_cross_entropy_of_soft_labels():
    coding = Regions(((1, 2), (2,)), 3)
    logits, soft = torch.randn((2, 2, 3, 4, 5), dtype=torch.float64), torch.rand((2, 2, 3, 4, 5), dtype=torch.float64)
    counted = torch.rand((2, 3, 4, 5)) < 0.5
    each = F.binary_cross_entropy_with_logits(logits, soft, reduction="none").mean(1)
    found = soft_cross_entropy(logits, soft, counted, coding)
    assert torch.allclose(found, (each * counted).flatten(1).mean(1))


@BOTH
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "soft", "pseudo_loss": "dice"}, "soft labels need pseudo_loss: cross_entropy"),
        ({"labels_from": "teacher", "teacher_mode": "eval"}, "set buffers to copy or ema"),
        ({"wait_share": 0.7, "ramp_share": 0.5}, "the weight is never reached"),
        ({"cutmix_side": (0.6, 0.2)}, "the first bound is above the second"),
    ],
)
def test_options_that_contradict_each_other_are_refused(cls, options, message):
    with pytest.raises(ValidationError, match=message):
        cls.Options(**options)
