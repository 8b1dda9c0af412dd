"""UA-MT: a mean teacher that is used only at voxels where it is certain."""

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from semiseg.plugin import Batch, Losses, Step, Term, ramp, supervised_loss
from semiseg_mean_teacher.averaged import AveragedOptions, AveragedTeacher, with_noise


class UAMTOptions(AveragedOptions):
    """Options of UA-MT."""

    passes: Annotated[int, Field(ge=1)] = 8
    """Number of noisy predictions from which the uncertainty is estimated."""
    noise: Annotated[float, Field(ge=0)] = 0.1
    """Standard deviation of the noise on the teacher's images; 0 means none."""
    noise_limit: Annotated[float, Field(gt=0)] = 0.2
    """Largest absolute value of that noise."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Entropy below which a voxel is certain, as a share of the maximum, at the start; rises to 1 (sigmoid)."""


class UAMT(AveragedTeacher[UAMTOptions]):
    """Uncertainty-aware mean teacher (UA-MT): mean teacher only where several noisy predictions have low entropy.

    Yu et al. 2019, "Uncertainty-aware Self-ensembling Model for Semi-supervised 3D Left Atrium Segmentation"
    (arXiv:1907.07034), equations 1 to 4, as in its public code (train_LA_meanteacher_certainty_unlabel.py). The teacher
    predicts the unlabeled samples once with noise, which gives the target, and eight more times with different noise
    and dropout. The squared difference counts at voxels where the entropy of the mean of these predictions is below
    (3/4 + 1/4 g) ln K, with g the sigmoid ramp-up over the whole training: sum(M d) / (K sum(M) + 1e-16). The paper has
    two classes, and writes 2 and ln 2; SSL4MIS keeps these for four (train_uncertainty_aware_mean_teacher_2D.py), so
    that its difference is K / 2 times this one, at fewer voxels. In that code the weight is 0.1, the ramp-up takes the
    whole training, the decay is 0.99, and the supervised loss is half the sum of Dice (with squares, foreground only)
    and cross entropy: ``weight=0.2, ramp_share=1, decay=0.99`` gives twice its loss. It tests the student,
    ``predicts=student``. The sum is
    normalized over all unlabeled samples of a step and therefore cannot be computed in parts. Without dropout in the
    network (the built-in ``vnet`` has it, ``unet`` has it as an option), the passes differ only by the noise.
    """

    whole_batch: ClassVar[bool] = True

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised loss plus the weighted difference from the teacher where the teacher is certain."""
        o = self.options
        labeled, unlabeled = batch.divide(self.run("student", batch.images()))
        supervised = supervised_loss(labeled, batch, o.loss, self.coding)
        consistency, sure = Term(), Term()
        if len(batch.unlabeled):
            student, teacher = self.probabilities(unlabeled), self._look(batch, step, "ua_mt")
            mask = self._uncertainty(batch, step) < self._limit(step, self.coding.n_states(student.shape[1]))
            consistency = Term.of_whole_batch(masked_difference(student, teacher, mask))
            sure = Term.of_whole_batch(mask.float().mean())
        else:
            self.gather_statistics(batch)
        yield self.weighted(supervised, consistency, step, sure=sure)

    def _look(self, batch: Batch, step: Step, name: str) -> Tensor:
        o, unlabeled = self.options, batch.unlabeled
        return self.teach(with_noise(unlabeled.image, unlabeled.slots, step, name, o.noise, o.noise_limit))

    def _uncertainty(self, batch: Batch, step: Step) -> Tensor:
        """Return the entropy of the mean of the noisy predictions, (n, \\*spatial); for regions the mean over these."""
        mean = self._look(batch, step, "ua_mt/0")
        for index in range(1, self.options.passes):
            mean = mean + self._look(batch, step, f"ua_mt/{index}")
        variables = self.coding.states(mean / self.options.passes).unbind(dim=1)
        return torch.stack([entropy(states) for states in variables]).mean(dim=0)

    def _limit(self, step: Step, n_states: int) -> float:
        start = float(self.options.threshold)
        return (start + (1 - start) * ramp("sigmoid", step.index / step.total, 1.0)) * math.log(n_states)


def entropy(probabilities: Tensor) -> Tensor:
    """Return -sum p ln(p + 1e-6) over the classes, as in the public code: (n, K, \\*spatial) gives (n, \\*spatial)."""
    return -(probabilities * (probabilities + 1e-6).log()).sum(dim=1)


def masked_difference(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Return sum(M d) / (K sum(M) + 1e-16), with d = (p - p')^2; 0 if no voxel is certain.

    Args:
        student: probabilities (n, K, \\*spatial).
        teacher: likewise.
        mask: (n, \\*spatial) boolean, True where the teacher is certain.
    """
    chosen = mask[:, None].to(student.dtype)
    squared: Tensor = ((student - teacher).square() * chosen).sum()
    return squared / (student.shape[1] * chosen.sum() + 1e-16)
