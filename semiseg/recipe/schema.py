"""The recipe as data. Components validate their own options (semiseg.recipe.components)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, PositiveFloat, PrivateAttr, model_validator

from semiseg.recipe.blocks.base import Model, PositiveCount, Seed, Share
from semiseg.recipe.blocks.preprocessing import Intensities, Preprocessing, SliceAxis
from semiseg.recipe.blocks.split import Split
from semiseg.recipe.blocks.training import (
    BatchSize,
    Checkpoint,
    Optimizer,
    Schedule,
    StepMode,
    Training,
    Validation,
)
from semiseg.recipe.source_locations import Places

__all__ = [
    "BatchSize",
    "Block",
    "Checkpoint",
    "DatasetBlock",
    "Evaluation",
    "FolderName",
    "Inference",
    "Intensities",
    "Optimizer",
    "Preprocessing",
    "Recipe",
    "Schedule",
    "SliceAxis",
    "Split",
    "StepMode",
    "StrategyBlock",
    "Training",
    "Validation",
]


def _usable_as_folder(name: str) -> str:
    if not name.strip() or name in {".", ".."} or any(c in name for c in "/\\\0"):
        raise ValueError(f"{name!r} is not a valid folder name")
    if any(0xD800 <= ord(c) < 0xE000 for c in name):
        raise ValueError(f"{name!r} contains an unpaired surrogate, which cannot be written to a file")
    return name


FolderName = Annotated[str, AfterValidator(_usable_as_folder)]
"""Text that is valid as a folder name."""


class Block(Model):
    """A component: its name, together with its options. A bare name means the defaults."""

    model_config = ConfigDict(extra="allow")

    name: Any
    """Name of an installed component; from Python also its class, or the component itself."""

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return value if isinstance(value, dict | Block) else {"name": value}

    @property
    def values(self) -> dict[str, Any]:
        """The component's options as written."""
        return dict(self.model_extra or {})


class DatasetBlock(Block):
    """A dataset; its own keys, for every dataset, are further labels, and predictions of another model."""

    newer = frozenset({"adopted", "pseudo_labels", "pseudo_confidence"})

    adopted: list[Path] = Field(default=[])
    """Folders of labels that were drawn later, one a round, as `semiseg adopt` writes them: ``CASE.nii.gz`` or
    ``CASE.seg.nrrd`` for cases of the dataset, or for those with images in the folder's ``images``."""

    pseudo_labels: Path | None = None
    """Folder of label maps that another model predicted for the unlabeled cases, ``CASE.nii.gz``, for strategies that
    train on them; with its confidence, if any, in ``CASE_confidence.nii.gz``."""
    pseudo_confidence: Annotated[float, Field(gt=0, le=1)] | None = None
    """Confidence below which a voxel of these label maps is ignored; by default, confidence is not read."""

    @model_validator(mode="after")
    def _of_something(self) -> "DatasetBlock":
        if self.pseudo_confidence is not None and self.pseudo_labels is None:
            raise ValueError("pseudo_confidence is set without pseudo_labels, the folder of the label maps")
        return self


class StrategyBlock(Block):
    """A strategy; ``networks`` overrides the recipe's backbone for single roles."""

    newer = frozenset({"preset"})

    networks: dict[str, Block] = Field(default={})
    """Backbone by role, for instance ``{student_b: {name: unetr}}``."""
    preset: str = "auto"
    """A set of values for the options that are not given here: paper (as published), short (for trainings of a thousand
    steps or two), or auto (the defaults). ``semiseg plugins show NAME`` lists a strategy's."""


class Inference(Model):
    """Sliding-window prediction over the foreground box."""

    newer = frozenset({"mirror", "memory_gib", "postprocess"})

    overlap: Share = 0.5
    """Fraction of a window that overlaps its neighbor."""
    weighting: Literal["gaussian", "constant"] = "gaussian"
    """Weight of a voxel by its position in the window."""
    batch_size: PositiveCount = 1
    """Windows per forward pass."""
    mirror: bool = False
    """Mean over all flips along the axes that the augmentation flips: 8 times the work for three axes. For test cases
    and new images, not for validation during training and pseudo-labels."""
    memory_gib: PositiveFloat | Literal["auto"] = "auto"
    """Most memory, in GiB, for predicting an image, without the networks'; larger images are predicted in slabs, equal
    within rounding. auto: 4, or less on a small machine; more only if the image itself needs it."""
    postprocess: Literal["none", "largest_component", "auto"] = "none"
    """largest_component: keep only the largest component of each class; auto: of the classes whose mean Dice on the
    validation cases it raises."""


class Evaluation(Model):
    """Scores of the test cases, for the last and the best checkpoint."""

    metrics: list[Block] = Field(default=[Block(name="dice"), Block(name="hd95")], min_length=1)
    """Metrics by name; one may be listed several times with different options."""
    regions: dict[str, list[str]] | None = None
    """Unions of classes to score in addition, as ``{core: [necrosis, enhancing]}``; by default the dataset's."""
    missed: Literal["image_diagonal", "exclude"] = "image_diagonal"
    """Value of a distance in a mean if a structure is missed or spurious; both are always counted."""


class Recipe(Model):
    """Everything that a run depends on."""

    name: FolderName
    """Name of the run."""
    seed: Seed = 0
    """Seed of weights, samples and augmentation."""
    dataset: DatasetBlock
    """The source of the cases."""
    split: Split
    """The cases of each role."""
    preprocessing: Preprocessing = Preprocessing()
    """Processing of every case, once."""
    augmentation: Block = Block(name="luque2023")
    """Augmentation of the training samples."""
    backbone: Block
    """The network of every role."""
    strategy: StrategyBlock
    """The method."""
    training: Training = Training()
    """The training loop."""
    inference: Inference = Inference()
    """Sliding-window prediction."""
    evaluation: Evaluation = Evaluation()
    """Scores of the test cases."""

    _places: Places = PrivateAttr(default_factory=Places)
    _notes: tuple[str, ...] = PrivateAttr(default=())

    def where(self, key: str) -> str:
        """Return where a key such as ``training.epochs`` was written (``recipes/x.yaml:12``); empty if in Python."""
        return self._places.where(key)

    def placed(self, key: str) -> str:
        """Return a key with the place where it was written."""
        where = self.where(key)
        return f"{key} ({where})" if where else key

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user, such as options that an override dropped."""
        return self._notes

    def read_from(self, places: Places, notes: Sequence[str]) -> "Recipe":
        """Return the same recipe with the places where it was written."""
        copy = self.model_copy()
        copy._places, copy._notes = places, tuple(notes)
        return copy

    def with_component(
        self, kind: Literal["dataset", "augmentation", "backbone", "strategy"], component: Any, /, **options: Any
    ) -> "Recipe":
        """Return the recipe with another component: its name, its class, or (except for a strategy) the object itself.

        Example: ``recipe.with_component("strategy", MyStrategy, phi=1.0)``. Options are checked when it is used.
        """
        own: dict[str, type[Block]] = {"strategy": StrategyBlock, "dataset": DatasetBlock}
        block = own.get(kind, Block)
        copy = self.model_copy(update={kind: block.model_validate({"name": component, **options})})
        copy._places = self._places.without((kind,))
        return copy
