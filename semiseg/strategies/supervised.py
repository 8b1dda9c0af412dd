"""Supervised training on the labeled cases only: the baseline of every comparison."""

from collections.abc import Iterator
from typing import ClassVar

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.losses import Losses
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import BatchNeeds, Strategy, StreamNeeds
from semiseg.strategy_parts.deep_supervision import DeepSupervisionOptions, deeply_supervised
from semiseg.strategy_parts.streams import supervised_loss


class SupervisedOptions(DeepSupervisionOptions):
    """Options of the supervised baseline."""


class Supervised(Strategy[SupervisedOptions]):
    """One network, trained on labeled cases alone.

    The mean over labeled samples of the soft Dice loss (Luque et al. 2023, equation 2, one network), or of
    Dice plus cross entropy.
    """

    no_regions: ClassVar[str] = ""
    needs: ClassVar[BatchNeeds] = BatchNeeds(unlabeled=StreamNeeds(uses=False))

    @classmethod
    def roles(cls, options: SupervisedOptions) -> tuple[Role, ...]:
        """Return one network, called model."""
        return (deeply_supervised(Role("model"), options),)

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised loss."""
        outputs = self.outputs("model", batch.labeled.image)
        loss = supervised_loss(outputs.logits, batch, self.options.loss, self.coding, outputs.scales)
        yield Losses({"supervised": loss}, "model")
