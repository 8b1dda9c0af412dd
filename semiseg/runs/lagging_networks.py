"""Scores of single networks, which the mean of networks that predict together hides.

The mean of two networks' probabilities may be good in a class that one of them never learned. If that network's
pseudo-labels train the others, they suffer too. The log has each network's Dice at some validations.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

FAR = 0.1
"""Dice difference to the best network from which on a network is reported."""


class Behind(NamedTuple):
    """A network that is far behind the best of its run in one class."""

    role: str
    class_name: str
    dice: float
    best: float

    def __str__(self) -> str:
        alone = f"{self.role} alone reaches a Dice of only {self.dice:.2f} for {self.class_name}"
        return f"{alone}; the best network reaches {self.best:.2f}"


def each_network(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Return role to class to Dice at the last validation in log.jsonl that has them; empty for a single network."""
    for record in reversed(records):
        networks = (record.get("validation") or {}).get("networks")
        if networks:
            return {role: dict(dice) for role, dice in networks.items()}
    return {}


def behind(records: Sequence[Mapping[str, Any]], by: float = FAR) -> tuple[Behind, ...]:
    """Return the networks more than ``by`` in Dice behind the best in a class at the last validation."""
    return tuple(_behind(each_network(records), by))


def _behind(networks: Mapping[str, Mapping[str, float | None]], by: float) -> Iterator[Behind]:
    for name in dict.fromkeys(name for dice in networks.values() for name in dice):
        values = {role: value for role, dice in networks.items() if (value := dice.get(name)) is not None}
        best = max(values.values(), default=0.0)
        yield from (Behind(role, name, value, best) for role, value in values.items() if value < best - by)
