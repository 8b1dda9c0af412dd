"""What a strategy keeps from step to step, and whether a run that is resumed has it: a part of its contract."""

import io
from collections.abc import Mapping
from typing import Any

import torch

from semiseg.engine.build import require_trained_in_networks
from semiseg.interfaces.strategy import Strategy
from semiseg.testing.python_state import attributes
from semiseg.testing.strategy_base import StrategyTests


class StateTests(StrategyTests):
    """Tests of parameters, of the state that is saved, and that there is no other."""

    def test_what_is_trained_is_in_a_network(self, strategy: Strategy) -> None:
        """Optimizers have the parameters of roles' networks; one of the strategy's own would stay as it is."""
        self.train(strategy, 0, 1)  # it may be made late
        require_trained_in_networks(strategy)

    def test_state_continues_after_a_round_trip(
        self, strategy_class: type[Strategy], options: Mapping[str, Any]
    ) -> None:
        """State saved, loaded with ``weights_only``, and trained on gives the same weights bit for bit."""
        one = self.make(strategy_class, options)
        self.train(one, 0, 3)
        buffer = io.BytesIO()
        torch.save(one.state_dict(), buffer)
        buffer.seek(0)
        other = self.make(strategy_class, options)
        other.load_state_dict(torch.load(buffer, weights_only=True))
        self.train(one, 3, 6)
        self.train(other, 3, 6)
        for key, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key

    def test_what_changes_is_in_the_state(self, strategy: Strategy) -> None:
        """Training changes nothing else: what is not saved may act long after a run was resumed."""
        before = attributes(strategy)
        self.train(strategy, 0, 3)
        after = attributes(strategy)
        both = before.keys() & after.keys()
        lost = {name for name in before.keys() | after.keys() if name not in both or before[name] != after[name]}
        assert not lost, (
            f"changed by training, and not saved: {', '.join(sorted(lost))}\n"
            "A run that is resumed does not have it. Make it a buffer, or read the step's number from step.index;\n"
            "what is only kept because it takes long to make may be a functools.cached_property."
        )
