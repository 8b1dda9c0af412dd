"""Matching weights to a network by name and shape, without values."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from semiseg.messages import some
from semiseg.pipeline.initial_weights.prefixes import Prefix, find_prefix
from semiseg.types import Shape

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Drawn:
    """A tensor of the network that stays as drawn: its shape here, and there if the weights have one of its name."""

    name: str
    here: Shape
    there: Shape | None
    is_output: bool = False

    def __str__(self) -> str:
        if self.there is None or self.there == self.here:
            return self.name
        return f"{self.name} {self.here}, there {self.there}"


@dataclass(frozen=True, slots=True)
class Match:
    """The tensors of a network that weights replace, and the others.

    Attributes:
        taken: the names in the weights by those in the network.
        drawn: the network's other tensors.
        unused: names in the weights that are not taken.
        prefix: the difference between the names.
        outputs: those taken whose size depends on the classes.
    """

    taken: Mapping[str, str]
    drawn: tuple[Drawn, ...]
    unused: tuple[str, ...]
    prefix: Prefix
    outputs: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """Return the match as data for the run folder."""
        return {
            "prefix_removed": self.prefix.removed,
            "prefix_added": self.prefix.added,
            "matched": list(self.taken),
            "drawn_anew": [{"name": one.name, "shape": one.here, "shape_there": one.there} for one in self.drawn],
            "not_used": list(self.unused),
        }


class NoMatchError(Exception):
    """Weights that do not fit a network, with the reason and what to do."""

    def __init__(self, why: str, fix: str) -> None:
        super().__init__(why)
        self.why, self.fix = why, fix


def match(
    network: nn.Module, outputs: Collection[str], weights: Mapping[str, Tensor], prefix: str | None, renew: bool
) -> Match:
    """Match weights to a network, both of which may be on the meta device.

    A tensor is taken if its name, after ``find_prefix``, and its shape are those of one of the network's.

    Args:
        network: the network.
        outputs: its tensors whose size depends on the classes.
        weights: tensors by name.
        prefix: what to remove from their names; None to find it.
        renew: draw ``outputs`` anew even if they fit.

    Raises NoMatchError if no layer but ``outputs`` is taken, or if the weights are of images with other axes.
    """
    own = network.state_dict(keep_vars=True)
    found = find_prefix(own, weights, prefix)
    if isinstance(found, list):
        said = [one.removed for one in found]
        why = f"the names fit equally well with several prefixes, {some([repr(start) for start in said])}"
        raise NoMatchError(why, f"Choose one: prefix: {said[0]}")
    named = {here: there for here, there in found.names(weights) if here in own}
    _require_axes(own, weights, named)
    alike = {here: there for here, there in named.items() if _is_alike(own[here], weights[there])}
    taken = {here: there for here, there in alike.items() if not (renew and here in outputs)}
    if not any(own[name].ndim > 1 and name not in outputs for name in taken):
        raise _nothing(own, weights, named, any(own[name].ndim > 1 for name in alike))
    used, theirs = {id(own[name]) for name in taken}, {_place(weights[there]) for there in taken.values()}
    drawn = tuple(
        Drawn(name, tuple(value.shape), tuple(weights[named[name]].shape) if name in named else None, name in outputs)
        for name, value in own.items()
        if name not in taken and id(value) not in used  # one tensor may have several names, here and there
    )
    unused = tuple(name for name, value in weights.items() if _place(value) not in theirs)
    return Match(taken, drawn, unused, found, tuple(name for name in taken if name in outputs))


def _place(tensor: Tensor) -> tuple[int, int, Shape]:
    """Return what is the same for two names of one tensor in a file."""
    return tensor.untyped_storage()._cdata, int(tensor.storage_offset()), tuple(tensor.shape)


def _is_alike(ours: Tensor, theirs: Tensor) -> bool:
    return ours.shape == theirs.shape and ours.is_floating_point() == theirs.is_floating_point()


def _require_axes(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], named: Mapping[str, str]) -> None:
    for here, there in named.items():
        ours, theirs = own[here].ndim - 2, weights[there].ndim - 2  # of a convolution's weight
        if {ours, theirs} == {2, 3}:
            why = f"they are of a network for images with {theirs} axes, and patches have {ours} here"
            raise NoMatchError(why, f"Weights are not converted: choose others, or a patch with {theirs} sides.")


def _nothing(
    own: Mapping[str, Tensor], weights: Mapping[str, Tensor], named: Mapping[str, str], only_outputs: bool
) -> NoMatchError:
    """Return why no layer's weight is taken: only output layers match, or shapes or names differ."""
    if only_outputs:
        shapes = "only the shapes of output layers are the same, which depend on the classes"
        return NoMatchError(shapes, "Choose the backbone and options that the weights are of, or other weights.")
    layers = [here for here in named if own[here].ndim > 1]
    if layers:
        shown = [f"{name} {tuple(weights[named[name]].shape)}, here {tuple(own[name].shape)}" for name in layers]
        why = f"the names match, but no layer has the same shape: {some(shown, _SHOWN)}"
        return NoMatchError(why, "Choose the backbone and options that the weights are of, or other weights.")
    why = f"no names match: there {some(list(weights), _SHOWN)}; here {some(list(own), _SHOWN)}"
    fix = "Choose the backbone that the weights are of; if only a prefix differs, give it as prefix."
    return NoMatchError(why, fix)


def described(drawn: Sequence[Drawn]) -> str:
    """Return the first few tensors that stay as drawn, with shapes that differ."""
    return some([str(one) for one in drawn], _SHOWN)
