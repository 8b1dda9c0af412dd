"""A strategy's losses: per-sample values with their streams, which the engine sums and divides."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from semiseg.interfaces.batch import Stream


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A factor times a scalar: a sum over samples divided by the step's count, or a value of the whole batch."""

    factor: float | Tensor
    scalar: Tensor
    of_whole_batch: bool = False

    def value(self) -> Tensor:
        return self.scalar if _is_one(self.factor) else self.factor * self.scalar


class Term:
    """The mean of a per-sample loss over all samples of a step, with a weight.

    The given samples may be a part of the step's. The sum of their values is divided by the streams' counts in the
    whole step, so terms of micro-batches and processes add up to the mean. ``0.5 * term`` sets the term's weight in the
    loss; the log shows the term without it. ``a + b`` is a single term, with both weights applied. ``Term()`` is 0.

    Args:
        values: (n,), one value for each of the samples of ``streams``.
        streams: the samples' streams; several give one mean over all of their samples.
        samples_each: number of samples that a value stands for: 2 for mixes of two samples, which count twice.

    Raises:
        ValueError: if there is not one value per sample.
    """

    __slots__ = ("_parts", "weight")

    def __init__(self, values: Tensor | None = None, *streams: Stream, samples_each: int = 1) -> None:
        self.weight: float | Tensor = 1.0
        self._parts: tuple[_Part, ...] = ()
        if values is None:
            return
        samples = sum(map(len, streams))
        if not streams:
            raise ValueError("a loss term needs the stream of its samples: Term(values, batch.unlabeled)")
        if values.shape != (samples // samples_each,):
            wanted = "one value per sample" if samples_each == 1 else f"one value per {samples_each} samples"
            raise ValueError(
                f"a loss term takes {wanted}, ({samples // samples_each},) for {samples} samples, not the shape"
                f" {tuple(values.shape)}; average over voxels only: loss.flatten(1).mean(1)"
            )
        mean = values.sum() / max(sum(stream.count for stream in streams), 1)
        self._parts = (_Part(samples_each, mean),)

    @classmethod
    def of_whole_batch(cls, value: Tensor) -> "Term":
        """Return the term of a scalar that is no mean over samples, so that the step cannot be divided into parts."""
        if value.shape != ():
            raise ValueError(f"a loss of the whole batch is a scalar, not of shape {tuple(value.shape)}")
        return _of((_Part(1, value, of_whole_batch=True),))

    @property
    def is_of_whole_batch(self) -> bool:
        """Whether a part of the term is a scalar of the whole batch."""
        return any(part.of_whole_batch for part in self._parts)

    def mean(self) -> Tensor | None:
        """Return the value without the weight, a scalar; None for ``Term()``."""
        total: Tensor | None = None
        for part in self._parts:
            total = part.value() if total is None else total + part.value()
        return total

    def __add__(self, other: "Term") -> "Term":
        if not isinstance(other, Term):
            return NotImplemented
        return _of((*self._weighted(), *other._weighted()))

    def __radd__(self, other: int) -> "Term":
        return self if other == 0 else NotImplemented  # as in sum(terms)

    def __sub__(self, other: "Term") -> "Term":
        return self + -1 * other

    def __neg__(self) -> "Term":
        return -1 * self

    def __mul__(self, weight: float | Tensor) -> "Term":
        return _of(self._parts, self.weight * weight)

    __rmul__ = __mul__

    def __truediv__(self, number: float) -> "Term":
        return self * (1 / number)

    def _weighted(self) -> tuple[_Part, ...]:
        if _is_one(self.weight):
            return self._parts
        return tuple(_Part(self.weight * part.factor, part.scalar, part.of_whole_batch) for part in self._parts)


def _is_one(factor: float | Tensor) -> bool:
    # A tensor may have a gradient, and reading it would synchronize with its device.
    return not isinstance(factor, Tensor) and factor == 1


def _of(parts: tuple[_Part, ...], weight: float | Tensor = 1.0) -> Term:
    term = Term()
    term._parts, term.weight = parts, weight
    return term


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """A loss on which the engine runs backward: the weighted sum of its terms.

    Attributes:
        terms: by name, for the log; a single term, or a scalar of the whole batch, is logged as part of the loss only.
        updates: the roles whose parameters get gradients from it, or a single role; None means every trained role.
        log: further values to log, which add nothing to the loss: accepted shares, for example.
        step_now: step the optimizers of ``updates`` before the strategy continues; only if ``whole_batch`` is declared.
    """

    terms: Mapping[str, Term] | Term | Tensor
    updates: Collection[str] | str | None = None
    log: Mapping[str, Term] = field(default_factory=dict)
    step_now: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.updates, str):
            object.__setattr__(self, "updates", frozenset({self.updates}))
        if not isinstance(self.terms, Mapping):
            term = self.terms if isinstance(self.terms, Term) else Term.of_whole_batch(self.terms)
            object.__setattr__(self, "terms", {"": term})
        for name, term in (*self._named.items(), *self.log.items()):
            if not isinstance(term, Term):
                raise TypeError(
                    f"{name!r} in Losses is a {type(term).__name__}, not a Term: give one value per sample,"
                    " Term(values, batch.labeled), or Term.of_whole_batch(scalar)"
                )
        names = [*self._named, *self.log]
        if "loss" in names:
            raise ValueError("Losses has a term called 'loss', the log's name for the sum of all terms: rename it")
        if len(set(names)) < len(names):
            twice = ", ".join(sorted(set(self._named) & set(self.log)))
            raise ValueError(f"Losses has the same name in terms and log: {twice}")

    @property
    def updated(self) -> frozenset[str] | None:
        """The roles in ``updates``."""
        return None if self.updates is None else frozenset(self.updates)

    @property
    def total(self) -> Tensor:
        """The loss, a scalar. Raises ValueError if all terms are ``Term()``."""
        total: Tensor | None = None
        for term in self._named.values():
            value = term.mean()
            if value is not None:
                weighted = value if _is_one(term.weight) else term.weight * value
                total = weighted if total is None else total + weighted
        if total is None:
            raise ValueError("Losses has no value: all of its terms are empty")
        return total

    @property
    def parts(self) -> dict[str, Tensor]:
        """The values to log, without weights and gradients: scalars, which add up over the parts of a step."""
        means = {name: term.mean() for name, term in {**self._named, **self.log}.items()}
        some = next(value for value in means.values() if value is not None)  # for the device of what is 0
        values = {name: some.new_zeros(()) if value is None else value.detach() for name, value in means.items()}
        return {name: value for name, value in values.items() if name}

    @property
    def of_whole_batch(self) -> tuple[str, ...]:
        """The names of the values that are scalars of the whole batch; "loss" for an unnamed one."""
        named = {**self._named, **self.log}
        return tuple(name or "loss" for name, term in named.items() if term.is_of_whole_batch)

    @property
    def _named(self) -> Mapping[str, Term]:
        assert isinstance(self.terms, Mapping)
        return self.terms
