"""ICT: the prediction for a mix of two samples should be the mix of their predictions."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from semiseg.plugin import Batch, BatchNeeds, Losses, Step, StreamNeeds, Term, mixup_weights, supervised_loss
from semiseg_mean_teacher.averaged import AveragedOptions, AveragedTeacher


class ICTOptions(AveragedOptions):
    """Options of ICT."""

    alpha: Annotated[float, Field(gt=0)] = 0.2
    """Both parameters of the Beta distribution of the mixing weight."""


class ICT(AveragedTeacher[ICTOptions]):
    """Interpolation consistency training (ICT): the prediction for a mix of two samples against the mix of predictions.

    Verma et al. 2019 (arXiv:1903.03825), equation 3: the mean squared difference between m p'(u) + (1 - m) p'(v) and
    the student's prediction for m u + (1 - m) v, with p' the averaged teacher's prediction and m from Beta(alpha,
    alpha), drawn for each pair. In SSL4MIS, train_interpolation_consistency_training_3D.py, alpha is 0.2, as here, the
    weight 0.1, the ramp-up takes the whole training, the decay is 0.99, the supervised loss half the sum of Dice (with
    squares) and cross entropy (``weight=0.2, ramp_share=1, decay=0.99`` gives twice its loss), and the student is
    tested (``predicts=student``). The two samples of a pair are neighbors in the batch.
    """

    needs: ClassVar[BatchNeeds] = BatchNeeds(unlabeled=StreamNeeds(unit=2))

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised loss plus the weighted difference between mixed predictions."""
        o, unlabeled = self.options, batch.unlabeled
        weights = mixup_weights(unlabeled.slots[::2], step, "ict", o.alpha).to(unlabeled.image)
        mixed = mix(unlabeled.image, weights)
        logits = self.run("student", torch.cat([batch.labeled.image, mixed]))
        labeled, on_mixed = logits.split([len(batch.labeled), len(mixed)])
        supervised = supervised_loss(labeled, batch, o.loss, self.coding)
        consistency = Term()
        if len(mixed):  # a network need not accept an empty batch
            target = mix(self.teach(unlabeled.image), weights)
            difference = (self.probabilities(on_mixed) - target).square().flatten(1).mean(dim=1)
            consistency = Term(difference, unlabeled, samples_each=2)
        else:
            self.gather_statistics(batch)
        yield self.weighted(supervised, consistency, step)


def mix(values: Tensor, weights: Tensor) -> Tensor:
    """Mix neighboring pairs of values (2 n, ...) by the first one's weight (n,): (n, ...)."""
    shape = (-1, *[1] * (values.dim() - 1))
    return torch.lerp(values[1::2], values[::2], weights.view(shape).to(values.dtype))
