"""Contract tests of strategies: all state that persists between steps is restored on resuming."""

import io
from collections.abc import Container, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from semiseg.engine.build import require_trained_in_networks
from semiseg.interfaces.strategy import Strategy
from semiseg.testing.strategy_checks.base import StrategyTests
from semiseg.testing.tiny import TinyBackbone

_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_NOT_ITS_OWN = {*vars(nn.Module()), "_around"}


class StateTests(StrategyTests):
    """Tests that trained parameters belong to networks, and that all state is saved."""

    frozen: ClassVar[frozenset[str]] = frozenset()

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

    def test_networks_with_batch_normalization_and_dropout_continue(
        self, strategy_class: type[Strategy], options: Mapping[str, Any]
    ) -> None:
        """A step can be repeated, all running statistics move (a teacher's too), and a resumed training ends alike."""
        noisy = TinyBackbone(TinyBackbone.Options(noisy=True))
        one = self.make(strategy_class, options, backbone=noisy)
        before = {name: value.clone() for name, value in one.named_buffers() if name.endswith("running_mean")}
        self.train(one, 0, 3)
        buffer = io.BytesIO()
        torch.save(one.state_dict(), buffer)
        buffer.seek(0)
        other = self.make(strategy_class, options, backbone=noisy)
        other.load_state_dict(torch.load(buffer, weights_only=True))
        self.train(one, 3, 6)
        self.train(other, 3, 6)
        for key, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), f"{key} differs after a resumed training"
        still = {name for name, value in one.named_buffers() if name in before and torch.equal(value, before[name])}
        frozen = tuple(f"networks.{role}." for role in self.frozen)
        unmoved = sorted(name for name in still if not name.startswith(frozen))
        assert not unmoved, (
            f"running statistics of batch normalization stay as they begin: {', '.join(unmoved)}\n"
            "Prediction would use them. Copy or average them with the weights: semiseg.plugin.update_teacher"
        )

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


def attributes(strategy: Strategy) -> dict[str, Any]:
    """Return comparable values of the attributes of a strategy, its modules and its class, and of unsaved buffers.

    Excludes ``functools.cached_property``, which is recomputed if missing.
    """
    saved = [*strategy.modules(), *strategy.parameters(), *strategy.state_dict(keep_vars=True).values()]
    known = {id(part) for part in saved}
    return {name: _value(value, known) for name, value in _attributes(strategy)}


def _attributes(strategy: Strategy) -> Iterator[tuple[str, Any]]:
    for place, module in strategy.named_modules():
        prefix = f"{place}." if place else ""
        for name, value in vars(module).items():
            if name not in _NOT_ITS_OWN and not isinstance(getattr(type(module), name, None), cached_property):
                yield prefix + name, value
        yield from ((prefix + name, getattr(module, name)) for name in module._non_persistent_buffers_set)
    for cls in type(strategy).__mro__:
        own = vars(cls).items() if cls not in Strategy.__mro__ else ()
        yield from ((f"{cls.__name__}.{name}", value) for name, value in own if not name.startswith(("__", "_abc_")))


def _value(value: Any, known: Container[int], around: frozenset[int] = frozenset()) -> Any:
    """Return something that stays equal as long as the content of the value does.

    Objects in ``known``, and those without accessible content, are only equal to themselves.
    """
    if isinstance(value, _PLAIN):
        return repr(value)
    content = None if id(value) in known or id(value) in around else _content(value)
    if content is None:
        return id(value), value  # compared by the id first, which is unique as long as the value is held
    return type(value), [_value(part, known, around | {id(value)}) for part in content]


def _content(value: Any) -> tuple[Any, ...] | None:
    """Return the parts of a value, as pickled; None if it is not picklable or pickled only by name."""
    if isinstance(value, tuple):
        return value
    if isinstance(value, torch.Generator):
        return (value.get_state(),)
    if isinstance(value, Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1)
        return str(value.dtype), tuple(value.shape), flat.view(torch.uint8).numpy().tobytes()
    try:
        parts = value.__reduce_ex__(4)
    except Exception:  # unpicklable classes raise arbitrary errors; classes themselves need further arguments
        return None
    if isinstance(parts, str):
        return None
    return tuple(tuple(part) if isinstance(part, Iterator) else part for part in parts)
