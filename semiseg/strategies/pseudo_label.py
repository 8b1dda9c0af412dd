"""Online pseudo-labels: the network trains on its own confident predictions."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import Strategy
from semiseg.strategy_parts.confidence import accepted_share, confident_labels, masked_loss
from semiseg.strategy_parts.deep_supervision import DeepSupervisionOptions, deeply_supervised
from semiseg.strategy_parts.ramps import RampName, has_begun, weight_at
from semiseg.strategy_parts.streams import supervised_loss


class PseudoLabelOptions(DeepSupervisionOptions):
    """Options of online pseudo-labels."""

    weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the pseudo-label loss, after the ramp-up."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.95
    """Minimum probability of a pseudo-label; 0 accepts all."""
    wait_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of training before the ramp-up begins."""
    ramp: RampName = "linear"
    """Shape of the weight's ramp-up."""
    ramp_share: Annotated[float, Field(ge=0, le=1)] = 0.4
    """Length of the ramp-up, as a fraction of training."""
    pseudo_loss: Literal["cross_entropy", "dice"] = "cross_entropy"
    """Loss against pseudo-labels: cross_entropy (the papers), or the Dice of the accepted voxels."""

    @model_validator(mode="after")
    def _rises_in_time(self) -> Self:
        if self.wait_share + self.ramp_share > 1:
            raise ValueError("wait_share and ramp_share together are more than 1: the weight is never reached")
        return self


class PseudoLabel(Strategy[PseudoLabelOptions]):
    """Pseudo-labels, online: the loss of unlabeled samples against the network's own argmax, where it is confident.

    Lee 2013 (ICML workshop, "Pseudo-Label: The simple and efficient semi-supervised learning method"), with the
    threshold and the ramp-up of USB (microsoft/Semi-supervised-learning, pseudolabel.py): cross entropy at voxels with
    a probability of at least 0.95, averaged over all voxels; a weight that rises linearly over the first 40 % of
    training. Rejected voxels are ignored. Lee's method has no threshold, and a weight that is 0 up to T1, rises
    linearly to 3 at T2, and then stays: ``threshold=0, weight=3``, ``wait_share`` T1 and ``ramp_share`` T2 - T1, as
    fractions of training. USB runs the unlabeled samples with frozen batch-normalization statistics; here all samples
    go through the network together, as in Lee's method.
    """

    no_regions: ClassVar[str] = ""

    @classmethod
    def roles(cls, options: PseudoLabelOptions) -> tuple[Role, ...]:
        """Return one network, called model."""
        return (deeply_supervised(Role("model"), options),)

    def uses_unlabeled(self, step: Step) -> bool:
        """Return whether the weight of the pseudo-label loss has begun to rise."""
        return has_begun(self.options, step, self.options.wait_share)

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised loss plus the weighted loss against pseudo-labels, from one forward pass."""
        o = self.options
        outputs = self.outputs("model", batch.images())
        labeled, unlabeled = batch.divide(outputs.logits)
        supervised = supervised_loss(labeled, batch, o.loss, self.coding, outputs.scales)
        labels = confident_labels(unlabeled, o.threshold, self.coding)
        pseudo = Term(masked_loss(unlabeled, labels, o.pseudo_loss, self.coding), batch.unlabeled)
        accepted = Term(accepted_share(labels), batch.unlabeled)
        terms = {"supervised": supervised, "pseudo": weight_at(o, step, o.wait_share) * pseudo}
        yield Losses(terms, "model", log={"accepted": accepted})
