"""Loss terms that most strategies share."""

from torch import Tensor

from semiseg.codings.classes import CLASSES
from semiseg.codings.coding import Coding
from semiseg.interfaces.batch import Batch
from semiseg.interfaces.losses import Term


def supervised_loss(logits: Tensor, batch: Batch, kind: str, coding: Coding = CLASSES) -> Term:
    """Return the supervised loss of the labeled samples' logits (b, K, \\*spatial), by name (``named_loss``).

    ``coding``: what the logits mean; a strategy gives its ``coding``.
    """
    labeled = batch.labeled
    return Term(coding.loss(logits, labeled.label, kind, labeled.has_ignored), labeled)


def mean_of_each_stream(values: Tensor, batch: Batch) -> Term:
    """Return the mean over unlabeled samples plus that over labeled ones, of values in the order of ``images()``."""
    labeled, unlabeled = batch.divide(values)
    return Term(unlabeled, batch.unlabeled) + Term(labeled, batch.labeled)
