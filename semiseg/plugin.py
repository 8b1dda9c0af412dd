"""The public API for component authors: ``from semiseg.plugin import Strategy, Role, Losses``.

Names are loaded on first use, so that a metric or dataset does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semiseg.codings.classes import CLASSES
    from semiseg.codings.coding import Coding
    from semiseg.errors import ComponentError, DataError, Problem, ProtocolError, SomeCasesError, raise_all
    from semiseg.interfaces.acquisition import Acquisition, Candidate, Choice, by_uncertainty
    from semiseg.interfaces.augmentation import Augmentation, BatchAugmentation
    from semiseg.interfaces.backbone import Backbone
    from semiseg.interfaces.batch import Batch, LabeledStream, Step, Stream, UnlabeledStream
    from semiseg.interfaces.co_training import CoTraining
    from semiseg.interfaces.component import ComponentOptions
    from semiseg.interfaces.dataset import Dataset
    from semiseg.interfaces.launcher import Job, Launcher, Running
    from semiseg.interfaces.losses import Losses, Term
    from semiseg.interfaces.metric import MaskPair, Metric
    from semiseg.interfaces.observer import ObservedRun, Observer
    from semiseg.interfaces.roles import Role, RoleOptimizer
    from semiseg.interfaces.split import Level, Outputs, SplitNetwork, Upsampling
    from semiseg.interfaces.strategy import (
        BatchNeeds,
        Stage,
        Strategy,
        StrategyOptions,
        StreamNeeds,
        Target,
    )
    from semiseg.interfaces.topology import Topology, cumulative_strides, planned_topology
    from semiseg.io.finding import find
    from semiseg.io.names import image_stem, name_problems, nifti_stem
    from semiseg.io.volumes import read_image_files, read_image_geometry, read_label_file
    from semiseg.losses.cross_entropy import cross_entropy
    from semiseg.losses.dice import dice_from_probabilities
    from semiseg.losses.named import named_loss, named_losses
    from semiseg.strategy_parts.boxes import random_box
    from semiseg.strategy_parts.confidence import accepted_share, confident_labels, masked_loss
    from semiseg.strategy_parts.durations import ramp_share, teacher_decay, wait_share
    from semiseg.strategy_parts.ema import (
        BufferPolicy,
        Decay,
        TeacherMode,
        decay_at,
        has_statistics,
        settled_decay,
        statistics_problem,
        teaching,
        update_teacher,
        warmed_decay,
    )
    from semiseg.strategy_parts.flips import draw_flips, flip
    from semiseg.strategy_parts.heads import MoreDecoders, MoreHeads, MoreScales
    from semiseg.strategy_parts.loss_options import LossName, LossOptions
    from semiseg.strategy_parts.mixing import (
        Bounds,
        copy_paste_masks,
        cutmix_masks,
        mixup_weights,
        one_box_masks,
        paste,
        swapped,
    )
    from semiseg.strategy_parts.ramps import RampName, RampShare, has_begun, ramp, weight_at
    from semiseg.strategy_parts.signed_distance import (
        SIGNED_DISTANCE,
        distance_error,
        signed_distances,
        with_distance_head,
    )
    from semiseg.strategy_parts.streams import mean_of_each_stream, mean_over_voxels, supervised_loss, without_ignored
    from semiseg.strategy_parts.upsampling import replace_upsampling
    from semiseg.strategy_parts.views import WeakView, WeakViewOptions, strong_view
    from semiseg.types import IGNORE, IGNORED, Case, DatasetInfo, Geometry, Shape, Task, Volume

__all__ = [
    "CLASSES",
    "IGNORE",
    "IGNORED",
    "SIGNED_DISTANCE",
    "Acquisition",
    "Augmentation",
    "Backbone",
    "Batch",
    "BatchAugmentation",
    "BatchNeeds",
    "Bounds",
    "BufferPolicy",
    "Candidate",
    "Case",
    "Choice",
    "CoTraining",
    "Coding",
    "ComponentError",
    "ComponentOptions",
    "DataError",
    "Dataset",
    "DatasetInfo",
    "Decay",
    "Geometry",
    "Job",
    "LabeledStream",
    "Launcher",
    "Level",
    "LossName",
    "LossOptions",
    "Losses",
    "MaskPair",
    "Metric",
    "MoreDecoders",
    "MoreHeads",
    "MoreScales",
    "ObservedRun",
    "Observer",
    "Outputs",
    "Problem",
    "ProtocolError",
    "RampName",
    "RampShare",
    "Role",
    "RoleOptimizer",
    "Running",
    "Shape",
    "SomeCasesError",
    "SplitNetwork",
    "Stage",
    "Step",
    "Strategy",
    "StrategyOptions",
    "Stream",
    "StreamNeeds",
    "Target",
    "Task",
    "TeacherMode",
    "Term",
    "Topology",
    "UnlabeledStream",
    "Upsampling",
    "Volume",
    "WeakView",
    "WeakViewOptions",
    "accepted_share",
    "by_uncertainty",
    "confident_labels",
    "copy_paste_masks",
    "cross_entropy",
    "cumulative_strides",
    "cutmix_masks",
    "decay_at",
    "dice_from_probabilities",
    "distance_error",
    "draw_flips",
    "find",
    "flip",
    "has_begun",
    "has_statistics",
    "image_stem",
    "masked_loss",
    "mean_of_each_stream",
    "mean_over_voxels",
    "mixup_weights",
    "name_problems",
    "named_loss",
    "named_losses",
    "nifti_stem",
    "one_box_masks",
    "paste",
    "planned_topology",
    "raise_all",
    "ramp",
    "ramp_share",
    "random_box",
    "read_image_files",
    "read_image_geometry",
    "read_label_file",
    "replace_upsampling",
    "settled_decay",
    "signed_distances",
    "statistics_problem",
    "strong_view",
    "supervised_loss",
    "swapped",
    "teacher_decay",
    "teaching",
    "update_teacher",
    "wait_share",
    "warmed_decay",
    "weight_at",
    "with_distance_head",
    "without_ignored",
]

_HOMES = {
    "semiseg.errors": "ComponentError DataError Problem ProtocolError SomeCasesError raise_all",
    "semiseg.codings.classes": "CLASSES",
    "semiseg.codings.coding": "Coding",
    "semiseg.interfaces.acquisition": "Acquisition Candidate Choice by_uncertainty",
    "semiseg.interfaces.augmentation": "Augmentation BatchAugmentation",
    "semiseg.interfaces.backbone": "Backbone",
    "semiseg.interfaces.batch": "Batch LabeledStream Step Stream UnlabeledStream",
    "semiseg.interfaces.component": "ComponentOptions",
    "semiseg.interfaces.dataset": "Dataset",
    "semiseg.interfaces.losses": "Losses Term",
    "semiseg.interfaces.launcher": "Job Launcher Running",
    "semiseg.interfaces.metric": "MaskPair Metric",
    "semiseg.interfaces.observer": "ObservedRun Observer",
    "semiseg.interfaces.co_training": "CoTraining",
    "semiseg.interfaces.roles": "Role RoleOptimizer",
    "semiseg.interfaces.split": "Level Outputs SplitNetwork Upsampling",
    "semiseg.interfaces.topology": "Topology cumulative_strides planned_topology",
    "semiseg.interfaces.strategy": "BatchNeeds Stage Strategy StrategyOptions StreamNeeds Target",
    "semiseg.io.finding": "find",
    "semiseg.io.names": "image_stem name_problems nifti_stem",
    "semiseg.io.volumes": "read_image_files read_image_geometry read_label_file",
    "semiseg.losses.cross_entropy": "cross_entropy",
    "semiseg.losses.dice": "dice_from_probabilities",
    "semiseg.losses.named": "named_loss named_losses",
    "semiseg.strategy_parts.boxes": "random_box",
    "semiseg.strategy_parts.confidence": "accepted_share confident_labels masked_loss",
    "semiseg.strategy_parts.durations": "ramp_share teacher_decay wait_share",
    "semiseg.strategy_parts.ema": (
        "BufferPolicy Decay TeacherMode decay_at has_statistics settled_decay statistics_problem teaching"
        " update_teacher warmed_decay"
    ),
    "semiseg.strategy_parts.flips": "draw_flips flip",
    "semiseg.strategy_parts.heads": "MoreDecoders MoreHeads MoreScales",
    "semiseg.strategy_parts.loss_options": "LossName LossOptions",
    "semiseg.strategy_parts.mixing": "Bounds copy_paste_masks cutmix_masks mixup_weights one_box_masks paste swapped",
    "semiseg.strategy_parts.ramps": "RampName RampShare has_begun ramp weight_at",
    "semiseg.strategy_parts.signed_distance": "SIGNED_DISTANCE distance_error signed_distances with_distance_head",
    "semiseg.strategy_parts.streams": "mean_of_each_stream mean_over_voxels supervised_loss without_ignored",
    "semiseg.strategy_parts.upsampling": "replace_upsampling",
    "semiseg.strategy_parts.views": "WeakView WeakViewOptions strong_view",
    "semiseg.types": "IGNORE IGNORED Case DatasetInfo Geometry Shape Task Volume",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'semiseg.plugin' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
