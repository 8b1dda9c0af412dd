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
from semiseg.recipe.initial_weights import InitialWeights
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
VoxelSize = Annotated[float, Field(ge=0.01, le=50)]
Spacing = Annotated[tuple[VoxelSize, ...], Field(min_length=2, max_length=3)]
Normalization = Literal["zscore", "minmax", "ct", "none"]
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

    newer = frozenset({"folds", "fold"})

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
    folds: Annotated[int, Field(ge=2, le=10**9)] | Literal["dataset"] | None = None
    """Cross-validation: the number of folds into which the labeled cases are divided, by patient; dataset: the
    dataset's own folds. The test cases are those of the same recipe without folds."""
    fold: Count | None = None
    """The fold whose cases are the validation cases, counted from 0; those of the other folds are the labeled cases."""

    @model_validator(mode="after")
    def _one_fold(self) -> "Split":
        wrong = []
        if self.folds is None and self.fold is not None:
            wrong.append("fold is set without folds, the number of folds")
        if self.folds is not None and self.fold is None:
            wrong.append(
                "folds is set without fold, the fold to validate, counted from 0 (a study trains every fold with "
                "`folds: 5` next to `seeds`)"
            )
        if isinstance(self.folds, int) and self.fold is not None and self.fold >= self.folds:
            wrong.append(f"there is no fold {self.fold}: {self.folds} folds are counted from 0 to {self.folds - 1}")
        if self.folds is not None and self.validation not in (0, []):
            wrong.append("with folds, labeled cases are the validation cases: set validation to 0 or leave it out")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


class Intensities(_Model):
    """A modality's intensities within the classes of the labeled training cases, with which ``ct`` normalizes."""

    low: float
    """The 0.5th percentile: lower values are raised to it."""
    high: float
    """The 99.5th percentile: higher values are lowered to it."""
    mean: float
    """Subtracted after that."""
    deviation: PositiveFloat
    """The standard deviation, by which the difference is divided."""

    @model_validator(mode="after")
    def _ordered(self) -> "Intensities":
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be less than high ({self.high})")
        return self


class Preprocessing(_Model):
    """Processing of every case, once, before training. No case's own label is used."""

    newer = frozenset({"slice_axis", "spacing", "interpolation", "intensities"})

    normalize: Normalization | Literal["auto"] | dict[str, Normalization] = "zscore"
    """zscore and minmax: per modality over its foreground, to zero mean and unit variance, or to the range 0 to 1. ct:
    by the ``intensities`` of all training cases. auto: ct for CT, otherwise zscore. Or a mapping by modality."""
    foreground: Literal["nonzero", "all", "auto"] = "nonzero"
    """Foreground voxels: those that are not 0 (skull-stripped MR), or all (CT). Background stays 0. auto: nonzero if
    many voxels are 0 and no modality is CT."""
    crop: bool = True
    """Crop to the bounding box of the foreground."""
    spacing: Literal["auto", "none"] | Spacing = "none"
    """Voxel size in mm to which images are resampled, along right, anterior and superior; in the plane with a two-sided
    patch. auto: the median of the training cases, finer along a coarse axis. none: each image keeps its voxels."""
    interpolation: Literal["spline", "linear"] = "spline"
    """Interpolation of images that are resampled: cubic splines, or linear."""
    intensities: Literal["auto"] | dict[str, Intensities] = "auto"
    """For ct, by modality. auto: measured in the labeled training cases."""
    slice_axis: SliceAxis = "auto"
    """With a two-sided patch, the axis across which volumes are sliced; auto: the one with the largest spacing."""
    store: Path | None = None
    """Folder of the case store; by default $SEMISEG_CACHE/store, or ~/.cache/semiseg/store."""

    @model_validator(mode="after")
    def _air_is_not_zero(self) -> "Preprocessing":
        methods = self.normalize.values() if isinstance(self.normalize, dict) else [self.normalize]
        if "ct" in methods and self.foreground == "nonzero":
            raise ValueError("in CT, 0 is water, not background: with normalize ct, set foreground to all")
        return self


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

    newer = frozenset({"nesterov"})

    name: Literal["adam", "adamw", "sgd"] = "adam"
    """adam adds weight_decay to the gradient (L2), adamw decays the weights themselves."""
    lr: PositiveFloat = 5e-4
    """Initial learning rate."""
    weight_decay: Annotated[float, Field(ge=0)] = 2e-5
    """Weight decay."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum (sgd only)."""
    nesterov: bool = False
    """Nesterov momentum (sgd only), as in nnU-Net with lr 0.01, momentum 0.99, weight_decay 3e-5 and schedule poly."""

    @model_validator(mode="after")
    def _has_momentum(self) -> "Optimizer":
        if self.nesterov and not (self.name == "sgd" and self.momentum > 0):
            raise ValueError("nesterov is for sgd with a momentum above 0: set name: sgd, or leave nesterov out")
        return self


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

    newer = frozenset({"outputs", "initial_weights", "foreground_share", "gradient_clip", "ema"})

    epochs: PositiveCount = 1000
    """Number of epochs."""
    examples_per_epoch: PositiveCount = 250
    """Samples drawn per epoch, over both streams: ceil(examples / batch) steps."""
    patch_size: Literal["auto", "auto-2d"] | PatchSize = (128, 128, 128)
    """Voxels along right, anterior and superior; two sides for training on slices (``preprocessing.slice_axis``). auto:
    from the images and the memory there is, with three sides for volumes; auto-2d: with two."""
    outputs: Literal["classes", "regions"] = "classes"
    """Outputs of the networks: one per class, or one per region (``evaluation.regions``, or the dataset's); regions may
    overlap."""
    initial_weights: InitialWeights | None = None
    """Weights to start from instead of random ones: a run folder or a file, for every role or by role."""
    batch_size: Literal["auto"] | BatchSize = BatchSize()
    """Samples of each stream per step; auto: from the patch, the images and the memory there is."""
    foreground_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Fraction of the labeled samples that are centered on a foreground voxel, the class drawn evenly among those of
    the case, as for small structures (nnU-Net: 0.33, one of a batch of 2). In a stage with pseudo-labels also of the
    unlabeled samples."""
    step: StepMode = StepMode()
    """Computation of a step; auto: the fastest way that fits into memory."""
    optimizer: Optimizer = Optimizer()
    """The optimizer."""
    gradient_clip: PositiveFloat | None = None
    """Maximum Euclidean norm of a network's gradient over the whole batch: a longer one is scaled down to it before the
    optimizer's step (nnU-Net: 12)."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of a moving average of the weights, such as 0.999: validation, pseudo-labels of stages, ``best``, ``last``
    and all predictions use the average, while training continues with the weights themselves."""
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

    @property
    def patch(self) -> tuple[int, ...]:
        """``patch_size`` once it is settled (``semiseg.planning``)."""
        if isinstance(self.patch_size, str):
            raise ValueError(f"training.patch_size is {self.patch_size}, and not settled yet")
        return self.patch_size

    @property
    def batch(self) -> BatchSize:
        """``batch_size`` once it is settled (``semiseg.planning``)."""
        if isinstance(self.batch_size, str):
            raise ValueError("training.batch_size is auto, and not settled yet")
        return self.batch_size


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
