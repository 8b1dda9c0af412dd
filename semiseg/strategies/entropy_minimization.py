"""Entropy minimization: encourages confident predictions."""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from semiseg.codings.classes import CLASSES
from semiseg.codings.coding import Coding
from semiseg.interfaces.batch import Batch, Step, Stream
from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import Strategy
from semiseg.strategy_parts.deep_supervision import DeepSupervisionOptions, deeply_supervised
from semiseg.strategy_parts.ramps import RampName, RampShare, has_begun, weight_at
from semiseg.strategy_parts.streams import mean_over_voxels, supervised_loss


class EntropyMinimizationOptions(DeepSupervisionOptions):
    """Options of entropy minimization."""

    weight: Annotated[float, Field(ge=0)] = 0.2
    """Weight of the entropy, after the ramp-up."""
    ramp: RampName = "sigmoid"
    """Shape of the weight's ramp-up."""
    ramp_share: RampShare = "auto"
    """Length of the ramp-up, as a fraction of training; auto: steps / 30 000, from 0.4 to 1 (the public
    code: 1)."""
    entropy_on: Literal["labeled_and_unlabeled", "unlabeled"] = "labeled_and_unlabeled"
    """The samples whose entropy is minimized: all (SSL4MIS), or the unlabeled ones (the paper)."""


class EntropyMinimization(Strategy[EntropyMinimizationOptions]):
    """Entropy minimization: the supervised loss plus the entropy of the predictions.

    Grandvalet and Bengio 2004 (NeurIPS 17, "Semi-supervised learning by entropy minimization"), per voxel and divided
    by the logarithm of the number of classes as in ADVENT (Vu et al. 2019, arXiv:1811.12833): H(p) / ln K in [0, 1].
    The defaults are those of SSL4MIS, train_entropy_minimization_3D.py: the mean over labeled and unlabeled samples
    together, and a sigmoid ramp-up, there over the whole training. Its weight of 0.1 stands beside half of Dice plus
    cross entropy, so that 0.2 here gives twice its loss. The paper uses ``entropy_on=unlabeled, ramp=constant``.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"ramp_share": 1.0}}
    no_regions: ClassVar[str] = ""

    @classmethod
    def roles(cls, options: EntropyMinimizationOptions) -> tuple[Role, ...]:
        """Return one network, called model."""
        return (deeply_supervised(Role("model"), options),)

    def uses_unlabeled(self, step: Step) -> bool:
        """Return whether the weight of the entropy has begun to rise."""
        return has_begun(self.options, step)

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised loss plus the weighted entropy, from one forward pass."""
        o = self.options
        outputs = self.outputs("model", batch.images())
        logits = outputs.logits
        labeled, unlabeled = batch.divide(logits)
        supervised = supervised_loss(labeled, batch, o.loss, self.coding, outputs.scales)
        if o.entropy_on == "unlabeled":
            uncertain = Term(normalized_entropy(unlabeled, self.coding), batch.unlabeled)
        else:
            streams = (batch.labeled, batch.unlabeled)
            uncertain = Term(normalized_entropy(logits, self.coding, *streams), *streams)
        yield Losses({"supervised": supervised, "entropy": weight_at(o, step) * uncertain}, "model")


def normalized_entropy(logits: Tensor, coding: Coding = CLASSES, *streams: Stream) -> Tensor:
    """Return the mean of H(p) / ln K over voxels for each sample: (n, K, \\*spatial) gives (n,) in [0, 1]; K >= 2.

    For regions, it is the mean over these, with K = 2 for each. ``streams``: those of the samples, whose ignored voxels
    are left out.
    """
    return mean_over_voxels(entropy(logits, coding), *streams) / math.log(coding.n_states(logits.shape[1]))


def entropy(logits: Tensor, coding: Coding = CLASSES) -> Tensor:
    """Return H(p) in nats at each voxel: (n, K, \\*spatial) gives (n, \\*spatial); for regions the mean over these."""
    log_p = coding.log_probabilities(logits)
    return -(log_p.exp() * log_p).sum(dim=2).mean(dim=1)
