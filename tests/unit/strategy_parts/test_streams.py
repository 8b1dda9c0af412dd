from dataclasses import replace

import pytest
import torch

from semiseg.interfaces.losses import Term
from semiseg.losses.named import named_loss
from semiseg.strategy_parts.streams import mean_of_each_stream, mean_over_voxels, supervised_loss, without_ignored
from semiseg.testing.strategy import CLASSES, SIZE, make_batch
from semiseg.types import IGNORE


def test_parts_of_a_batch_add_up_to_the_mean():
    batch = make_batch(labeled=3, unlabeled=5)
    values = torch.arange(8.0)
    on_labeled, on_unlabeled = batch.divide(values)
    assert Term(values, batch.labeled, batch.unlabeled).mean().item() == pytest.approx(3.5)
    assert Term(on_unlabeled, batch.unlabeled).mean().item() == pytest.approx(5.0)
    assert mean_of_each_stream(values, batch).mean().item() == pytest.approx(1.0 + 5.0)
    parts = [batch.part(slice(0, 1), slice(0, 4)), batch.part(slice(1, 3), slice(4, 5))]
    shares = [Term(on_unlabeled[:4], parts[0].unlabeled), Term(on_unlabeled[4:], parts[1].unlabeled)]
    assert sum(share.mean() for share in shares).item() == pytest.approx(5.0)
    assert Term(on_labeled[:0], make_batch(labeled=0).labeled).mean().item() == 0


def test_the_supervised_loss_is_the_mean_over_the_step():
    batch = make_batch(labeled=3, unlabeled=0)
    logits = torch.randn((3, CLASSES, *SIZE), generator=torch.Generator().manual_seed(0))
    for kind in ("dice", "dice_ce"):
        whole = supervised_loss(logits, batch, kind).mean()
        assert whole.item() == pytest.approx(named_loss(logits, batch.labeled.label, kind).mean().item())
        parts = [batch.part(slice(0, 1), slice(0)), batch.part(slice(1, 3), slice(0))]
        both = supervised_loss(logits[:1], parts[0], kind) + supervised_loss(logits[1:], parts[1], kind)
        assert both.mean().item() == pytest.approx(whole.item())


def test_means_leave_out_the_ignored_voxels_of_labeled_samples():
    batch = make_batch(labeled=2, unlabeled=1)
    values = torch.randn((3, CLASSES, *SIZE), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    streams = (batch.labeled, batch.unlabeled)
    assert torch.equal(mean_over_voxels(values, *streams), values.flatten(1).mean(dim=1))
    label = batch.labeled.label.clone()
    label[0, :3], label[1] = IGNORE, IGNORE
    partly = replace(batch, labeled=replace(batch.labeled, label=label, has_ignored=True))
    expected = [values[0, :, 3:].mean().item(), 0, values[2].mean().item()]
    streams = (partly.labeled, partly.unlabeled)
    assert mean_over_voxels(values, *streams).tolist() == pytest.approx(expected)
    assert mean_over_voxels(values[:, 0], *streams)[0].item() == pytest.approx(values[0, 0, 3:].mean().item())
    assert mean_over_voxels(values[2:], partly.unlabeled).item() == pytest.approx(values[2].mean().item())


def test_pseudo_labels_leave_out_the_ignored_voxels_of_labeled_samples():
    batch = make_batch(labeled=2, unlabeled=1)
    pseudo = torch.randint(0, CLASSES, (3, *SIZE), dtype=torch.uint8)
    assert without_ignored(pseudo, batch) is pseudo
    label = batch.labeled.label.clone()
    label[0, :3] = IGNORE
    partly = replace(batch, labeled=replace(batch.labeled, label=label, has_ignored=True))
    expected = pseudo.long()
    expected[0, :3] = IGNORE
    assert torch.equal(without_ignored(pseudo, partly), expected)
