"""Mean teacher: a student trained toward the prediction of its moving average."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from semiseg.plugin import Batch, Losses, Step, Term, mean_over_voxels, supervised_loss
from semiseg_mean_teacher.averaged import AveragedOptions, AveragedTeacher, with_noise


class MeanTeacherOptions(AveragedOptions):
    """Options of mean teacher."""

    noise: Annotated[float, Field(ge=0)] = 0.1
    """Standard deviation of the noise on the teacher's images; 0 means none."""
    noise_limit: Annotated[float, Field(gt=0)] = 0.2
    """Largest absolute value of that noise."""
    consistency_on: Literal["unlabeled", "labeled_and_unlabeled"] = "unlabeled"
    """Samples on which student and teacher are compared."""


class MeanTeacher(AveragedTeacher[MeanTeacherOptions]):
    """Mean teacher: the supervised loss plus the squared difference from an averaged teacher's prediction.

    Tarvainen and Valpola 2017 (arXiv:1703.01780), section 2: the mean over voxels and classes of (p - p')^2, where p'
    is the prediction of the teacher, whose input has different noise. As in SSL4MIS, train_mean_teacher_3D.py:
    consistency on unlabeled samples, noise of 0.1 clipped at 0.2 for the teacher only, a sigmoid ramp-up, the teacher
    in training mode with its own running statistics. There the weight is 0.1, the ramp-up takes the whole training, the
    decay is 0.99 with a warm-up, and the supervised loss is half the sum of Dice (with squares) and cross entropy:
    ``weight=0.2, ramp_share=1, decay=0.99`` gives twice its loss. It tests the student, ``predicts=student``, whereas
    the paper tests the teacher. TorchSemiSeg's variant, voc8.res50v3+.MeanTeacher, is
    ``consistency_on=labeled_and_unlabeled, weight=100, ramp=constant, noise=0, decay=0.99, loss=cross_entropy,
    predicts=student``, except that its decay has no warm-up.
    """

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised loss plus the weighted difference from the teacher."""
        o = self.options
        everywhere = o.consistency_on == "labeled_and_unlabeled"
        streams = (batch.labeled, batch.unlabeled) if everywhere else (batch.unlabeled,)
        logits = self.run("student", batch.images())
        labeled, unlabeled = batch.divide(logits)
        supervised = supervised_loss(labeled, batch, o.loss, self.coding)
        student = self.probabilities(logits if everywhere else unlabeled)
        slots = [slot for stream in streams for slot in stream.slots]
        consistency = Term()
        if slots:  # a network need not accept an empty batch
            images = batch.images() if everywhere else batch.unlabeled.image
            teacher = self.teach(with_noise(images, slots, step, "mean_teacher", o.noise, o.noise_limit))
            consistency = Term(mean_over_voxels((student - teacher).square(), *streams), *streams)
        else:
            self.gather_statistics(batch)
        yield self.weighted(supervised, consistency, step)
