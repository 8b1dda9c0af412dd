"""FixMatch: confident predictions on a weak view are the labels of a strong view."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.losses import Losses
from semiseg.strategy_parts.deep_supervision import DeepSupervisionOptions
from semiseg.strategy_parts.self_labeling import SHORT, SelfLabeling, SelfLabelingOptions
from semiseg.strategy_parts.views import WeakView, WeakViewOptions, strong_view


class FixMatchOptions(WeakViewOptions, SelfLabelingOptions, DeepSupervisionOptions):
    """Options of FixMatch."""

    newer: ClassVar[frozenset[str]] = DeepSupervisionOptions.newer | SelfLabelingOptions.newer - {
        "labels_from",
        "decay",
    }

    weak_view: WeakView = "geometry"
    """The weak view: the sample with the zooms, rotations and flips of the recipe's augmentation (geometry), or with
    its changes of intensities, too (recipe)."""
    strength: Annotated[float, Field(ge=0)] = 1.0
    """Strength of the strong view's intensity changes; 0 for none."""
    cut_out: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Longest side of the strong view's cut-out box, as a fraction of the patch's; 0 for no box."""


class FixMatch(SelfLabeling[FixMatchOptions]):
    """FixMatch: unlabeled samples in a strong view, against the argmax of the weak view where that is confident.

    Sohn et al. 2020 (arXiv:2001.07685), equations 3 and 4, per voxel: cross entropy at voxels with a probability of at
    least 0.95, averaged over all voxels, weight 1, no ramp-up. The weak view is the sample with the geometry of the
    recipe's augmentation alone (the paper: flips and shifts), run without gradient; the strong view adds intensity
    changes, noise and a cut-out box. Rejected voxels are ignored.

    Variants: ``pseudo_loss=dice`` is the masked Dice of UniMatch's code for medical images (there with squared
    probabilities). SSL4MIS, train_fixmatch_cta.py, is ``labels_from=teacher, threshold=0, pseudo_loss=dice_ce,
    loss=dice_ce, weight=0.1, ramp=sigmoid, ramp_share=1``: a moving average labels every voxel (its threshold option is
    never read) and predicts. Its train_fixmatch_standard_augs.py has no equivalent here: it treats rejected voxels as
    background.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"decay": 0.99},
        "short": {**SHORT, "cutmix": 0.8, "cut_out": 0.0},
    }

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised loss plus the weighted loss of strong views against labels from weak views."""
        o, unlabeled = self.options, batch.unlabeled
        labels = self.label(batch)
        strong = strong_view(unlabeled.image, unlabeled.slots, step, "fixmatch", o.strength, o.cut_out)
        strong, labels = self.mixed(strong, labels, batch, step)
        outputs = self.outputs("model", torch.cat([batch.labeled.image, strong]))
        yield self.loss(*batch.divide(outputs.logits), labels, batch, step, outputs.scales)
