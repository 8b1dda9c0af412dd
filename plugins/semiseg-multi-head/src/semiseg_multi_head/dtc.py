"""DTC: a segmentation and a distance map that have to agree."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field

from semiseg.plugin import (
    SIGNED_DISTANCE,
    Batch,
    BatchNeeds,
    Losses,
    LossOptions,
    RampName,
    RampShare,
    Role,
    Step,
    Strategy,
    Term,
    distance_error,
    supervised_loss,
    weight_at,
    with_distance_head,
)

HEAD = SIGNED_DISTANCE.name


class DTCOptions(LossOptions):
    """Options of DTC."""

    beta: Annotated[float, Field(ge=0)] = 0.3
    """Weight of the distance map's squared error on labeled samples."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the consistency, after the ramp-up."""
    ramp: RampName = "sigmoid"
    """Shape of the weight's rise."""
    ramp_share: RampShare = "auto"
    """Length of the ramp-up, as a fraction of training; auto: steps / 30 000, from 0.4 to 1 (the public
    code: 1)."""
    steepness: Annotated[float, Field(gt=0)] = 1500.0
    """Steepness of the mask computed from a distance: sigmoid(-steepness * distance)."""


class DTC(Strategy[DTCOptions]):
    """Dual-task consistency (DTC): a segmentation and a signed distance map of one network have to agree.

    Luo et al. 2021, "Semi-supervised Medical Image Segmentation through Dual-task Consistency" (arXiv:2009.04448),
    equations 2 to 7, with the constants of its public code (HiLab-git/DTC, train_la_dtc.py): the supervised loss, plus
    0.3 times the squared error of tanh(head) against the normalized signed distance, plus the squared difference
    between sigmoid(-1500 tanh(head)) and the probability on labeled and unlabeled samples, with a weight that rises to
    1 along a sigmoid over the whole training. The network there has one foreground class and a sigmoid; here each
    foreground class has its own distance map, and probabilities come from the softmax.

    Variant: train_la_dtc_v2.py, which the repository had until commit 39183c1, is ``weight=0.1, ramp=constant``. Dice
    there is that of the foreground over the batch, with squared probabilities.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"loss": "dice", "ramp_share": 1.0}}
    no_regions: ClassVar[str] = "it compares a distance map of each class with the class's probability"
    needs: ClassVar[BatchNeeds] = BatchNeeds(targets=(SIGNED_DISTANCE,))
    requires: ClassVar[frozenset[str]] = frozenset({"split"})
    # The distance to a boundary that may run through unlabeled voxels is unknown, also at labeled ones.
    supports_ignored: ClassVar[bool] = False

    @classmethod
    def roles(cls, options: DTCOptions) -> tuple[Role, ...]:
        """Return one network with a second head; the first head predicts."""
        return (Role("model", network=with_distance_head),)

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised losses of both heads plus the weighted difference between them."""
        o, streams = self.options, (batch.labeled, batch.unlabeled)
        outputs = self.outputs("model", batch.images())
        distance = outputs.heads[HEAD].tanh()
        on_labeled, _ = batch.divide(outputs.logits)
        supervised = supervised_loss(on_labeled, batch, o.loss, self.coding)
        regression = distance_error(batch.divide(distance)[0], batch.labeled)
        mask = torch.sigmoid(-o.steepness * distance)
        difference = mask - self.probabilities(outputs.logits)[:, 1:]
        consistency = Term(difference.square().flatten(1).mean(dim=1), *streams)
        terms = {
            "supervised": supervised,
            "distance": o.beta * regression,
            "consistency": weight_at(o, step) * consistency,
        }
        yield Losses(terms, "model")
