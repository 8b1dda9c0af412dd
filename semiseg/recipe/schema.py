"""The recipe as data. Components validate their own options (semiseg.recipe.components)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PrivateAttr,
    model_validator,
)

from semiseg.interfaces.component import GrowingModel
from semiseg.recipe.source_locations import Places

SliceAxis = Literal["auto", "right", "anterior", "superior"]
Precision = Annotated[
    Literal["auto", "32", "bf16", "fp16"],
    # "32" may be written without quotes.
    BeforeValidator(
        lambda value: str(value) if type(value) is int else value,
        json_schema_input_type=Literal["auto", "32", 32, "bf16", "fp16"],
    ),
]


def _usable_as_folder(name: str) -> str:
    if not name.strip() or name in {".", ".."} or any(c in name for c in "/\\\0"):
        raise ValueError(f"{name!r} is not a valid folder name")
    if any(0xD800 <= ord(c) < 0xE000 for c in name):
        raise ValueError(f"{name!r} contains an unpaired surrogate, which cannot be written to a file")
    return name


FolderName = Annotated[str, AfterValidator(_usable_as_folder)]
"""Text that is valid as a folder name."""
Share = Annotated[float, Field(ge=0, lt=1)]
Extent = Annotated[int, Field(ge=8, le=4096)]
PatchSize = Annotated[tuple[Extent, ...], Field(min_length=2, max_length=3)]
Count = Annotated[int, Field(ge=0, le=10**9)]
PositiveCount = Annotated[int, Field(gt=0, le=10**9)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class _Model(GrowingModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


class Block(_Model):
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


class StrategyBlock(Block):
    """A strategy; ``networks`` overrides the recipe's backbone for single roles."""

    networks: dict[str, Block] = Field(default={})
    """Backbone by role, for instance ``{student_b: {name: unetr}}``."""


class Split(_Model):
    """The cases of each role. A count draws cases at random, a list names them by id."""

    test: Count | list[str] = 0
    """Test cases; they are opened once, at the end of a run."""
    validation: Count | list[str] = 0
    """Validation cases, used to select the best checkpoint."""
    labeled: Count | list[str] | Literal["all"]
    """Training cases whose labels are used; smaller counts are subsets of larger ones."""
    total: Count | list[str] | Literal["all"] = "all"
    """All training cases, labeled ones included."""
    seed: Seed = 0
    """Seed for drawing test and validation cases, the same for a whole study."""
    draw: Seed | None = None
    """Seed for the order of the training cases; by default the recipe's seed."""


class Preprocessing(_Model):
    """Processing of every case, once, before training. It never uses labels."""

    newer = frozenset({"slice_axis"})

    normalize: Literal["zscore", "minmax", "none"] = "zscore"
    """Per modality over its foreground: zero mean and unit variance, or the range 0 to 1."""
    foreground: Literal["nonzero", "all"] = "nonzero"
    """Foreground voxels: those that are not 0 (skull-stripped MR), or all (CT). Background stays 0."""
    crop: bool = True
    """Crop to the bounding box of the foreground."""
    slice_axis: SliceAxis = "auto"
    """With a two-sided patch, the axis across which volumes are sliced; auto: the one with the largest spacing."""
    store: Path | None = None
    """Folder of the case store; by default $SEMISEG_CACHE/store, or ~/.cache/semiseg/store."""


class BatchSize(_Model):
    """Samples of each stream per step, over all devices."""

    labeled: Count = 2
    """Labeled samples."""
    unlabeled: Count = 2
    """Unlabeled samples; if there are none to draw, the whole batch is labeled."""

    @model_validator(mode="after")
    def _not_empty(self) -> "BatchSize":
        if not self.total:
            raise ValueError("a step needs at least one sample")
        return self

    @property
    def total(self) -> int:
        """Samples per step."""
        return self.labeled + self.unlabeled


class Optimizer(_Model):
    """The optimizer; one for each trained network."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    """adam adds weight_decay to the gradient (L2), adamw decays the weights themselves."""
    lr: PositiveFloat = 5e-4
    """Initial learning rate."""
    weight_decay: Annotated[float, Field(ge=0)] = 2e-5
    """Weight decay."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum (sgd only)."""


class Schedule(_Model):
    """The learning-rate schedule over a stage."""

    name: Literal["cosine", "poly", "constant"] = "cosine"
    """cosine to 0; poly: (1 - t)^power."""
    power: PositiveFloat = 0.9
    """Exponent of poly."""


class Validation(_Model):
    """Prediction of the validation cases."""

    every: PositiveCount = 1
    """Epochs between validations; the last epoch always validates."""
    mode: Literal["volume", "patch"] = "volume"
    """Whole volumes by sliding window, or only the center patch of each (cheaper, with different scores)."""


class Checkpoint(_Model):
    """Saving of the training state, which is also saved at the end, on Ctrl-C, SIGTERM and SIGUSR1."""

    minutes: Annotated[float, Field(ge=0)] = 10.0
    """Minutes between checkpoints; 0 saves after every step."""


class StepMode(_Model):
    """The order and parts in which a step is computed; this changes memory and time, not the gradients."""

    mode: Literal["auto", "joint", "alternating", "split"] = "auto"
    """joint: all networks at once; alternating: one by one, less memory, one more forward pass; split: one per GPU."""
    micro_batch: PositiveCount | Literal["auto"] = "auto"
    """Samples in memory at once, over both streams; smaller values take less memory."""


class Training(_Model):
    """The training loop."""

    newer = frozenset({"outputs"})

    epochs: PositiveCount = 1000
    """Number of epochs."""
    examples_per_epoch: PositiveCount = 250
    """Samples drawn per epoch, over both streams: ceil(examples / batch) steps."""
    patch_size: PatchSize = (128, 128, 128)
    """Voxels along right, anterior and superior; two sides for training on slices (``preprocessing.slice_axis``)."""
    outputs: Literal["classes", "regions"] = "classes"
    """Outputs of the networks: one per class, or one per region (``evaluation.regions``, or the dataset's); regions may
    overlap."""
    batch_size: BatchSize = BatchSize()
    """Samples of each stream per step."""
    step: StepMode = StepMode()
    """Computation of a step; auto: the fastest way that fits into memory."""
    optimizer: Optimizer = Optimizer()
    """The optimizer."""
    schedule: Schedule = Schedule()
    """The learning-rate schedule."""
    precision: Precision = "auto"
    """auto: bf16 on GPUs that support it, otherwise 32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a CUDA GPU if available."""
    compile: bool = False
    """Compile networks with torch.compile: faster steps after a minute or more at the start. Needs a compiler."""
    deterministic: bool = False
    """On a GPU: use only deterministic kernels, which are slower (CPU runs are always deterministic)."""
    workers: Count | Literal["auto"] = "auto"
    """Number of processes that prepare samples; does not change the result."""
    augmentation_on: Literal["workers", "device"] = "workers"
    """Place of the augmentation: the workers, or the training device (``fused`` and similar)."""
    validation: Validation = Validation()
    """Prediction of the validation cases."""
    checkpoint: Checkpoint = Checkpoint()
    """Saving of the training state."""


class Inference(_Model):
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


class Evaluation(_Model):
    """Scores of the test cases, for the last and the best checkpoint."""

    metrics: list[Block] = Field(default=[Block(name="dice"), Block(name="hd95")], min_length=1)
    """Metrics by name; one may be listed several times with different options."""
    regions: dict[str, list[str]] | None = None
    """Unions of classes to score in addition, as ``{core: [necrosis, enhancing]}``; by default the dataset's."""
    missed: Literal["image_diagonal", "exclude"] = "image_diagonal"
    """Value of a distance in a mean if a structure is missed or spurious; both are always counted."""


class Recipe(_Model):
    """Everything that a run depends on."""

    name: FolderName
    """Name of the run."""
    seed: Seed = 0
    """Seed of weights, samples and augmentation."""
    dataset: Block
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
        block = StrategyBlock if kind == "strategy" else Block
        copy = self.model_copy(update={kind: block.model_validate({"name": component, **options})})
        copy._places = self._places.without((kind,))
        return copy
