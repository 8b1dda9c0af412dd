"""The supervised loss as an option of a strategy."""

from typing import Literal

from semiseg.interfaces.strategy import StrategyOptions

LossName = Literal["dice", "cross_entropy", "dice_ce"]


class LossOptions(StrategyOptions):
    """Base of the options of strategies with a supervised loss to choose."""

    loss: LossName = "dice_ce"
    """Supervised loss: dice, cross_entropy, or their sum, dice_ce. Dice alone has hardly a gradient where the network
    is sure and wrong, and where a sample lacks a class. ``training.dice`` has the form of every Dice loss."""
