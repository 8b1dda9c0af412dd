"""The recipe's ``training.initial_weights``: a path, a block with options, or one of either by role."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from semiseg.interfaces.component import GrowingModel


class WeightsSource(GrowingModel):
    """Weights that a network starts from, with options."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    path: Path
    """A run folder, or a file: .safetensors, or a PyTorch file with nothing but tensors and plain values."""
    role: str | None = None
    """Of a run: the network to take; by default that of the same role, otherwise the first that predicts."""
    checkpoint: Literal["best", "last"] = "best"
    """Of a run: its weights at the lowest validation loss, or at the end."""
    overlap: Literal["refuse", "allow"] = "refuse"
    """Of a run: what to do if it was trained on test cases of this run."""
    key: str | None = None
    """Of a file with several sets of weights: the one to take, such as teacher; a.b for b within a."""
    prefix: str | None = None
    """Of a file: take only weights whose names start with this, and remove it; by default found by the names."""
    heads: Literal["keep", "new"] = "keep"
    """new: draw the layers whose size depends on the classes anew, even if they fit."""


def _form_of_one(value: Any) -> str:
    return "block" if isinstance(value, Mapping | WeightsSource) else "path"


def _form(value: Any) -> str:
    is_by_role = isinstance(value, Mapping) and value and not value.keys() & WeightsSource.model_fields.keys()
    return "by role" if is_by_role else _form_of_one(value)


def _any_of(schema: dict[str, Any]) -> None:
    """A block with a path also has the form of a mapping, which ``oneOf`` would not admit."""
    if "oneOf" in schema:
        schema["anyOf"] = schema.pop("oneOf")


_Path = Annotated[Path, Tag("path")]
_Block = Annotated[WeightsSource, Tag("block")]
_One = Annotated[_Path | _Block, Discriminator(_form_of_one)]
_ByRole = Annotated[dict[str, _One], Tag("by role")]
InitialWeights = Annotated[_Path | _Block | _ByRole, Discriminator(_form), Field(json_schema_extra=_any_of)]


def sources(value: Path | WeightsSource | Mapping[str, Path | WeightsSource]) -> dict[str | None, WeightsSource]:
    """Return the source by role; one with the role None is for every role."""
    if isinstance(value, Mapping):
        return {role: _block(source) for role, source in value.items()}
    return {None: _block(value)}


def _block(source: Path | WeightsSource) -> WeightsSource:
    return source if isinstance(source, WeightsSource) else WeightsSource(path=source)
