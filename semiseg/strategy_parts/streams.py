"""Loss terms that most strategies share."""

from torch import Tensor

from semiseg.interfaces.batch import Batch
from semiseg.interfaces.losses import Term
from semiseg.losses.named import named_loss


def supervised_loss(logits: Tensor, batch: Batch, kind: str) -> Term:
    """Return the supervised loss: ``named_loss`` of the labeled samples' logits (b, K, \\*spatial)."""
    labeled = batch.labeled
    return Term(named_loss(logits, labeled.label, kind, labeled.has_ignored), labeled)


def mean_of_each_stream(values: Tensor, batch: Batch) -> Term:
    """Return the mean over unlabeled samples plus that over labeled ones, of values in the order of ``images()``."""
    labeled, unlabeled = batch.divide(values)
    return Term(unlabeled, batch.unlabeled) + Term(labeled, batch.labeled)
