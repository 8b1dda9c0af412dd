"""Means over a step's samples that are exact when computed in parts: partial sums divided by the step's counts."""

from torch import Tensor

from semiseg.interfaces.batch import Batch, Stream
from semiseg.losses.named import named_loss


def stream_mean(values: Tensor, *streams: Stream) -> Tensor:
    """Return the given samples' contribution to the mean over a whole step; 0 for empty streams.

    Args:
        values: (n,) one value for each given sample, of one stream or several together.
        streams: the samples' streams.

    Returns:
        A scalar: the sum divided by ``count`` of all streams. Micro-batches and processes add up to the mean.
    """
    return values.sum() / max(sum(stream.count for stream in streams), 1)


def supervised_loss(logits: Tensor, batch: Batch, kind: str) -> Tensor:
    """Return the supervised loss: ``named_loss`` of the labeled samples' logits (b, K, X, Y, Z), as a scalar."""
    return stream_mean(named_loss(logits, batch.labeled.label, kind), batch.labeled)
