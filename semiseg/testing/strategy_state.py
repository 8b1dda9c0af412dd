"""Contract tests of strategies: all state that persists between steps is restored on resuming."""

import io
from collections.abc import Mapping
from typing import Any

import torch

from semiseg.engine.build import require_trained_in_networks
from semiseg.interfaces.strategy import Strategy
from semiseg.testing.python_state import attributes
from semiseg.testing.strategy_base import StrategyTests


class StateTests(StrategyTests):
    """Tests that trained parameters belong to networks, and that all state is saved."""

    def test_trained_parameters_belong_to_a_role(self, strategy: Strategy) -> None:
        """Optimizers only have the parameters of roles' networks; one of the strategy itself would not be trained."""
        self.train(strategy, 0, 1)  # it may be created late
        require_trained_in_networks(strategy)

    def test_state_continues_after_a_round_trip(
        self, strategy_class: type[Strategy], options: Mapping[str, Any]
    ) -> None:
        """Saving, loading with ``weights_only`` and further training give the same weights bit for bit."""
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

    def test_changing_state_is_saved(self, strategy: Strategy) -> None:
        """Training changes nothing else: unsaved state may have effects long after a run is resumed."""
        before = attributes(strategy)
        self.train(strategy, 0, 3)
        after = attributes(strategy)
        both = before.keys() & after.keys()
        lost = {name for name in before.keys() | after.keys() if name not in both or before[name] != after[name]}
        assert not lost, (
            f"changed by training but not saved: {', '.join(sorted(lost))}\n"
            "A resumed run loses it. Make it a buffer, or compute it from step.index; a value that is only cached\n"
            "because it is expensive can be a functools.cached_property."
        )
