"""Online pseudo-labels: the network trains on its own confident predictions, or on those of its moving average."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.losses import Losses
from semiseg.strategy_parts.deep_supervision import DeepSupervisionOptions
from semiseg.strategy_parts.ramps import RampName
from semiseg.strategy_parts.self_labeling import SHORT, SelfLabeling, SelfLabelingOptions


class PseudoLabelOptions(SelfLabelingOptions, DeepSupervisionOptions):
    """Options of online pseudo-labels."""

    newer: ClassVar[frozenset[str]] = DeepSupervisionOptions.newer | SelfLabelingOptions.newer - {"wait_share"}

    ramp: RampName = "linear"
    """Shape of the weight's ramp-up."""
    ramp_share: Annotated[float, Field(ge=0, le=1)] = 0.4
    """Length of the ramp-up, as a fraction of training."""


class PseudoLabel(SelfLabeling[PseudoLabelOptions]):
    """Pseudo-labels, online: the loss of unlabeled samples against the network's own argmax, where it is confident.

    Lee 2013 (ICML workshop, "Pseudo-Label: The simple and efficient semi-supervised learning method"), with the
    threshold and the ramp-up of USB (microsoft/Semi-supervised-learning, pseudolabel.py): cross entropy at voxels with
    a probability of at least 0.95, averaged over all voxels; a weight that rises linearly over the first 40 % of
    training. Rejected voxels are ignored. Lee's method has no threshold, and a weight that is 0 up to T1, rises
    linearly to 3 at T2, and then stays: ``threshold=0, weight=3``, ``wait_share`` T1 and ``ramp_share`` T2 - T1, as
    fractions of training. USB runs the unlabeled samples with frozen batch-normalization statistics; here all samples
    go through the network together, as in Lee's method.

    Variants: ``labels_from=teacher, threshold=0`` is self-training by a moving average, without a strong view: the
    control of methods that have one. With ``cutmix``, labels are made of whole samples, and the network trains on
    mixes of two.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "short": SHORT}

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised loss plus the weighted loss against pseudo-labels.

        Without a moving average and mixing, labels and loss are from one forward pass.
        """
        o = self.options
        if o.labels_from == "teacher" or o.cutmix:
            images, labels = self.mixed(batch.unlabeled.image, self.label(batch), batch, step)
            outputs = self.outputs("model", torch.cat([batch.labeled.image, images]))
            labeled, unlabeled = batch.divide(outputs.logits)
        else:
            outputs = self.outputs("model", batch.images())
            labeled, unlabeled = batch.divide(outputs.logits)
            labels = self.labels_of(unlabeled)
        yield self.loss(labeled, unlabeled, labels, batch, step, outputs.scales)
