"""Averaged weights: networks train with their own weights, and predict with a moving average of them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from semiseg.engine.collectives import exchange
from semiseg.engine.runtime import Runtime
from semiseg.interfaces.strategy import Strategy


def averaged_roles(strategy: type[Strategy], options: Any) -> tuple[str, ...]:
    """Return the trained roles that take part in prediction: all of them if the strategy overrides ``predict``."""
    is_own = strategy.predict is not Strategy.predict
    return tuple(role.name for role in strategy.roles(options) if role.trained and (role.predicts or is_own))


class Averages:
    """The exponential moving average of the weights of trained networks that predict.

    ``update`` after each step: average = d * average + (1 - d) * weights, with d = min(decay, (1 + t) / (10 + t)) after
    t earlier updates. This warm-up, which forgets the initial weights sooner, is that of TensorFlow's
    tf.train.ExponentialMovingAverage (``num_updates``). Buffers, such as running statistics, are not averaged:
    prediction uses the network's own. Without a decay, nothing is averaged.
    """

    def __init__(self, strategy: Strategy, decay: float | None) -> None:
        """``strategy`` is on the training device; the average takes as much memory as its weights."""
        self._decay, self._updates, self._in_use = decay, 0, False
        roles = () if decay is None else averaged_roles(type(strategy), strategy.options)
        self._weights = {
            role: {name: p for name, p in strategy.networks[role].named_parameters() if p.requires_grad}
            for role in roles
        }
        self._means: dict[str, dict[str, Tensor]] = {
            role: {name: p.detach().clone() for name, p in weights.items()} for role, weights in self._weights.items()
        }

    def restart(self) -> None:
        """Begin again from the present weights, as when networks are initialized anew."""
        self._updates = 0
        self._copy(self._weights)

    def update(self, trained: Iterable[str]) -> None:
        """Move the average toward the weights of the roles that this process trains."""
        if self._decay is None:
            return
        average = get_ema_multi_avg_fn(min(self._decay, (1 + self._updates) / (10 + self._updates)))
        for role in trained:
            if weights := self._weights.get(role):
                with torch.no_grad():
                    average(list(self._means[role].values()), list(weights.values()), None)
        self._updates += 1

    def synchronize(self, trained: Collection[str], runtime: Runtime) -> None:
        """Give every process all averages, if each trains networks of its own; ``trained`` are this process's."""
        if self._means.keys() <= set(trained):
            return
        mine = {role: means for role, means in self._means.items() if role in trained}
        for part in exchange(mine, runtime):
            self._copy({role: means for role, means in part.items() if role not in trained})

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Give networks their average within the block, and their own weights again afterwards."""
        with self._exchanged():
            yield

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Give networks their own weights within the block, also inside ``in_use``: for a checkpoint."""
        if not self._in_use:
            yield
            return
        with self._exchanged():
            yield

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint; empty without a decay."""
        return {} if self._decay is None else {"ema": {"updates": self._updates, "networks": self._means}}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state`` returned. Raises KeyError if it is missing or of other networks."""
        if self._decay is not None:
            self._updates = state["ema"]["updates"]
            self._copy({role: state["ema"]["networks"][role] for role in self._means})

    @contextmanager
    def _exchanged(self) -> Iterator[None]:
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        self._in_use = not self._in_use
        for role, means in self._means.items():
            for name, mean in means.items():
                weight = self._weights[role][name]
                own = weight.detach().clone()
                weight.copy_(mean)
                mean.copy_(own)

    @torch.no_grad()
    def _copy(self, given: Mapping[str, Mapping[str, Tensor]]) -> None:
        for role, tensors in given.items():
            for name, mean in self._means[role].items():
                mean.copy_(tensors[name])
