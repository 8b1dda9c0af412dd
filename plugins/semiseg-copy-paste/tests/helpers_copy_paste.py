"""Strategies and batches of the tests of BCP and SDCL."""

from semiseg.testing.batches import in_double
from semiseg.testing.strategy import StrategyContract, make_batch


def with_other_teacher(strategy_class, options):
    """A strategy whose teacher has an opinion of its own."""
    strategy = StrategyContract.make(strategy_class, options).double()
    for parameter in strategy.networks["teacher"].parameters():
        parameter.data.mul_(-1)
    return strategy


def double_batch(**sizes):
    return in_double(make_batch(**sizes))
