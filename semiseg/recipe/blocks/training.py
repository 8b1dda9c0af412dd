"""The recipe's ``training``."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, model_validator

from semiseg.recipe.blocks.base import Count, Model, PositiveCount
from semiseg.recipe.blocks.initial_weights import InitialWeights

Precision = Annotated[
    Literal["auto", "32", "bf16", "fp16"],
    # "32" may be written without quotes.
    BeforeValidator(
        lambda value: str(value) if type(value) is int else value,
        json_schema_input_type=Literal["auto", "32", 32, "bf16", "fp16"],
    ),
]
Extent = Annotated[int, Field(ge=8, le=4096)]
PatchSize = Annotated[tuple[Extent, ...], Field(min_length=2, max_length=3)]


class BatchSize(Model):
    """Samples of each stream per step, over all devices."""

    labeled: Count = 2
    """Labeled samples."""
    unlabeled: Count = 2
    """Unlabeled samples, in the steps that use some."""
    fill: Literal["stages", "trainings", "always"] = "stages"
    """What takes the places of unlabeled samples in steps without any. stages: labeled samples, in the steps of labels
    alone of a method that uses unlabeled samples in others (a wait, a teacher's stage); a method that never does has
    ``labeled`` samples a step, so that methods are compared at equal labeled samples, with unlabeled ones on top, and
    so has a training without unlabeled cases outside such steps. trainings: labeled samples, in all steps of a training
    without unlabeled ones, so that methods are compared at equal samples a step; a wait draws both and leaves the
    unlabeled ones unused, as up to version 0.2 and in the reference study's code. always: labeled samples, in both."""

    @model_validator(mode="after")
    def _not_empty(self) -> "BatchSize":
        if not self.total:
            raise ValueError("a step needs at least one sample")
        return self

    @property
    def total(self) -> int:
        """Samples per step, if both streams are used."""
        return self.labeled + self.unlabeled


class Optimizer(Model):
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


class Schedule(Model):
    """The learning-rate schedule over a stage."""

    newer = frozenset({"per"})

    name: Literal["cosine", "poly", "constant"] = "cosine"
    """cosine to 0; poly: (1 - t)^power."""
    power: PositiveFloat = 0.9
    """Exponent of poly."""
    per: Literal["step", "epoch"] = "step"
    """Whether the rate changes at every step, or at the beginning of every epoch of the stage."""


class Validation(Model):
    """Prediction of the validation cases."""

    every: PositiveCount = 1
    """Epochs between validations; the last epoch always validates."""
    mode: Literal["volume", "patch"] = "volume"
    """Whole volumes by sliding window, or only the center patch of each (cheaper, with different scores)."""


class Checkpoint(Model):
    """Saving of the training state, which is also saved at the end, on Ctrl-C, SIGTERM and SIGUSR1."""

    minutes: Annotated[float, Field(ge=0)] = 10.0
    """Minutes between checkpoints; 0 saves after every step."""


class StepMode(Model):
    """The order and parts in which a step is computed; this changes memory and time, not the gradients."""

    mode: Literal["auto", "joint", "alternating", "split"] = "auto"
    """joint: all networks at once; alternating: one by one, less memory, one more forward pass; split: one per GPU."""
    micro_batch: PositiveCount | Literal["auto"] = "auto"
    """Samples in memory at once, over both streams; smaller values take less memory."""


class Dice(Model):
    """The form of the Dice losses of every strategy, and of the validation loss; the default is MONAI's."""

    background: bool = True
    """The mean over classes includes background; false: foreground classes alone, as in the reference study's code.
    Regions have no background."""
    batch: bool = False
    """Sums over the voxels of all samples instead of each one's, as in nnU-Net for some data and in SSL4MIS, so that a
    false positive counts even in a sample that lacks the class. Excludes micro-batches and several processes."""
    absent: Literal["counted", "ignored"] = "counted"
    """A class that a label lacks: counted, with a loss near 1 and hardly a gradient, or ignored."""


class Training(Model):
    """The training loop."""

    newer = frozenset({"dice", "outputs", "initial_weights", "foreground_share", "gradient_clip", "ema"})

    epochs: PositiveCount = 1000
    """Number of epochs."""
    examples_per_epoch: PositiveCount = 250
    """Length of an epoch in samples of both streams: ceil(examples / (labeled + unlabeled)) steps, with the samples of
    ``batch_size``, also for a method that draws fewer (``batch_size.fill``)."""
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
    """Fraction of the labeled samples that are centered on a foreground voxel, each class of the case with equal
    probability, as for small structures (nnU-Net: 0.33, one of a batch of 2). In a stage with pseudo-labels also of the
    unlabeled samples."""
    dice: Dice = Dice()
    """The form of Dice losses."""
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
