"""Means over a step's samples that are exact by parts: sums over the samples at hand, divided by the step's counts."""

from torch import Tensor

from semiseg.interfaces.batch import Batch, Stream
from semiseg.losses.named import named_loss


def stream_mean(values: Tensor, *streams: Stream) -> Tensor:
    """The share that the samples at hand have in the mean over a whole step; 0 where the streams are empty.

    Args:
        values: (n,) one value for each sample at hand, of one stream or of several together.
        streams: the streams that the samples are of.

    Returns:
        A scalar: the sum over ``count`` of all streams. Micro-batches and processes add up to the mean.
    """
    return values.sum() / max(sum(stream.count for stream in streams), 1)


def supervised_loss(logits: Tensor, batch: Batch, kind: str) -> Tensor:
    """The loss against the labels: ``named_loss`` of the labeled samples' logits (b, K, X, Y, Z), as a scalar."""
    return stream_mean(named_loss(logits, batch.labeled.label, kind), batch.labeled)
