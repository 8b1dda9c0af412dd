"""Supervised training on the labeled cases only: the baseline of every comparison."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.strategy import BatchNeeds, Losses, Role, Strategy, StrategyOptions, StreamNeeds
from semiseg.strategy_parts.streams import supervised_loss


class Supervised(Strategy):
    """One network, trained on labeled cases alone.

    The mean over labeled samples of the soft Dice loss (Luque et al. 2023, equation 2, one network), or of
    Dice plus cross entropy.
    """

    class Options(StrategyOptions):
        """Options of the supervised baseline."""

        loss: Literal["dice", "dice_ce"] = "dice"
        """dice (the paper), or the sum of Dice and cross entropy."""

    needs: ClassVar[BatchNeeds] = BatchNeeds(unlabeled=StreamNeeds(uses=False))
    exact: ClassVar[frozenset[str]] = frozenset({"micro_batch"})

    @classmethod
    def roles(cls, options: Any) -> tuple[Role, ...]:
        """Return one network, called model."""
        return (Role("model"),)

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised loss."""
        loss = supervised_loss(self.run("model", batch.labeled.image), batch, self.options.loss)
        yield Losses(loss, frozenset({"model"}), {"supervised": loss.detach()})
