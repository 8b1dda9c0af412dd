"""State of a strategy outside of its ``state_dict``, which is all that a checkpoint saves."""

from collections.abc import Container, Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from semiseg.interfaces.strategy import Strategy

_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_NOT_ITS_OWN = {*vars(nn.Module()), "_around"}


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
