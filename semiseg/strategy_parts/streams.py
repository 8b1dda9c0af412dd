"""Loss terms that most strategies share."""

from collections.abc import Sequence

import torch
from torch import Tensor

from semiseg.codings.classes import CLASSES
from semiseg.codings.coding import Coding
from semiseg.interfaces.batch import Batch, LabeledStream, Stream
from semiseg.interfaces.losses import Term
from semiseg.strategy_parts.deep_supervision import over_scales
from semiseg.types import IGNORE


def supervised_loss(
    logits: Tensor, batch: Batch, kind: str, coding: Coding = CLASSES, scales: Sequence[Tensor] = ()
) -> Term:
    """Return the supervised loss of the labeled samples' logits (b, K, \\*spatial), by name (``named_loss``).

    ``coding``: what the logits mean; a strategy gives its ``coding``. ``scales``: for deep supervision, the logits of
    coarser scales; those of labeled samples come first, others may follow.
    """
    labeled = batch.labeled

    def loss(one: Tensor) -> Tensor:
        return coding.loss(one, labeled.label, kind, labeled.has_ignored)

    return Term(over_scales(loss(logits), [scale[: len(labeled)] for scale in scales], loss), labeled)


def mean_of_each_stream(values: Tensor, batch: Batch) -> Term:
    """Return the mean over unlabeled samples plus that over labeled ones, of values in the order of ``images()``."""
    labeled, unlabeled = batch.divide(values)
    return Term(unlabeled, batch.unlabeled) + Term(labeled, batch.labeled)


def mean_over_voxels(values: Tensor, *streams: Stream) -> Tensor:
    """Return each sample's mean over its voxels and channels, without the ignored voxels of labeled samples.

    ``values`` are (n, \\*spatial) or (n, K, \\*spatial) float for the samples of the streams, in order. Returns (n,)
    means; 0 for a sample whose voxels are all ignored.
    """
    if not any(isinstance(stream, LabeledStream) and stream.has_ignored for stream in streams):
        return values.flatten(1).mean(dim=1)
    parts = values.split([len(stream) for stream in streams])
    return torch.cat([_mean_over_known(part, stream) for part, stream in zip(parts, streams, strict=True)])


def _mean_over_known(values: Tensor, stream: Stream) -> Tensor:
    if not isinstance(stream, LabeledStream):
        return values.flatten(1).mean(dim=1)
    known = stream.label != IGNORE
    if values.dim() > known.dim():
        known = known[:, None].expand_as(values)
    return torch.where(known, values, 0).flatten(1).sum(dim=1) / known.flatten(1).sum(dim=1).clamp_min(1)


def without_ignored(pseudo_labels: Tensor, batch: Batch) -> Tensor:
    """Return pseudo-labels with IGNORE at the ignored voxels of labeled samples; unchanged if there are none.

    They are (n, \\*spatial) integers, in the order of ``batch.images()``; with ignored voxels, the result is int64.
    """
    if not batch.labeled.has_ignored:
        return pseudo_labels
    labeled, unlabeled = batch.divide(pseudo_labels.long())
    return torch.cat([torch.where(batch.labeled.label == IGNORE, IGNORE, labeled), unlabeled])
