"""UA-MT: a mean teacher that is listened to where it is sure."""

import math
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field
from torch import Tensor

from semiseg.plugin import Batch, Losses, Step, ramp, supervised_loss
from semiseg_mean_teacher.averaged import AveragedOptions, AveragedTeacher, with_noise


class UAMT(AveragedTeacher):
    """Uncertainty-aware mean teacher (UA-MT): mean teacher at the voxels where many noisy predictions are sure.

    Yu et al. 2019, "Uncertainty-aware Self-ensembling Model for Semi-supervised 3D Left Atrium Segmentation"
    (arXiv:1907.07034), equations 1 to 4, as its public code has it (train_LA_meanteacher_certainty_unlabel.py): the
    teacher predicts the unlabeled samples once with noise, which is the target, and eight times more with other noise
    and dropout; of voxels whose mean prediction has an entropy below (3/4 + 1/4 g) ln K the squared difference counts,
    g being the sigmoid ramp-up over the whole training: sum(M d) / (K sum(M) + 1e-16). The paper has two classes, and
    writes 2 and ln 2. Weight 0.1, a sigmoid ramp-up that ends with training, decay 0.99. In that code the supervised
    loss is half of Dice (with squares, of the foreground) plus cross entropy: ``loss=dice_ce, weight=0.2`` is twice its
    loss; and the student is tested, ``predicts=student``. The sum is normalized over all unlabeled samples of a step,
    so that it cannot be computed in parts. A network without dropout (the built-in ``vnet`` has it, ``unet`` by option)
    differs between passes by the noise alone.
    """

    class Options(AveragedOptions):
        """Options of UA-MT."""

        passes: Annotated[int, Field(ge=1)] = 8
        """Noisy predictions that the uncertainty is estimated from."""
        noise: Annotated[float, Field(ge=0)] = 0.1
        """Standard deviation of the noise on the teacher's images; 0 is none."""
        noise_limit: Annotated[float, Field(gt=0)] = 0.2
        """Largest absolute value of that noise."""
        threshold: Annotated[float, Field(ge=0, le=1)] = 0.75
        """Share of the largest entropy below which a voxel is sure, at the start; it rises to 1 along a sigmoid."""

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """The supervised loss plus the weighted difference from the teacher where that is sure."""
        o = self.options
        labeled, unlabeled = batch.divide(self.run("student", batch.images()))
        supervised = supervised_loss(labeled, batch, o.loss)
        consistency, sure = supervised.new_zeros(()), supervised.new_zeros(())
        if len(batch.unlabeled):
            student, teacher = self.probabilities(unlabeled), self._look(batch, step, "ua_mt")
            mask = self._uncertainty(batch, step) < self._limit(step, student.shape[1])
            consistency = masked_difference(student, teacher, mask)
            sure = mask.float().mean()
        else:
            self.gather_statistics(batch)
        parts = {"supervised": supervised.detach(), "consistency": consistency.detach(), "sure": sure}
        yield Losses(supervised + self.consistency_weight(step) * consistency, frozenset({"student"}), parts)

    def _look(self, batch: Batch, step: Step, name: str) -> Tensor:
        o, unlabeled = self.options, batch.unlabeled
        return self.teach(with_noise(unlabeled.image, unlabeled.slots, step, name, o.noise, o.noise_limit))

    def _uncertainty(self, batch: Batch, step: Step) -> Tensor:
        """The entropy of the mean of the noisy predictions, (n, X, Y, Z)."""
        mean = self._look(batch, step, "ua_mt/0")
        for index in range(1, self.options.passes):
            mean = mean + self._look(batch, step, f"ua_mt/{index}")
        return entropy(mean / self.options.passes)

    def _limit(self, step: Step, n_classes: int) -> float:
        start = float(self.options.threshold)
        return (start + (1 - start) * ramp("sigmoid", step.index / step.total, 1.0)) * math.log(n_classes)


def entropy(probabilities: Tensor) -> Tensor:
    """-sum p ln(p + 1e-6) over the classes, as in the public code: (n, K, X, Y, Z) gives (n, X, Y, Z)."""
    return -(probabilities * (probabilities + 1e-6).log()).sum(dim=1)


def masked_difference(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """sum(M d) / (K sum(M) + 1e-16), d being (p - p')^2; 0 where no voxel is sure.

    Args:
        student: probabilities (n, K, X, Y, Z).
        teacher: likewise.
        mask: (n, X, Y, Z) boolean, True where the teacher is sure.
    """
    chosen = mask[:, None].to(student.dtype)
    squared: Tensor = ((student - teacher).square() * chosen).sum()
    return squared / (student.shape[1] * chosen.sum() + 1e-16)
