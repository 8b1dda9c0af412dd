"""BCP: bidirectional copy-paste between labeled and unlabeled images."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from semiseg.plugin import Batch, Losses, Role, Step
from semiseg_copy_paste.copy_paste import CopyPaste, CopyPasteOptions


class BCPOptions(CopyPasteOptions):
    """Options of BCP; the defaults are those for the left atrium."""

    predict_with: Literal["model", "teacher"] = "model"
    """Network that predicts: the model (the public code) or its moving average."""


class BidirectionalCopyPaste(CopyPaste[BCPOptions]):
    """BCP: train on mixes of a labeled and an unlabeled sample, made by pasting a box of one into the other.

    Bai et al. 2023, "Bidirectional Copy-Paste for Semi-Supervised Medical Image Segmentation" (arXiv:2305.00673),
    as in its public code for the left atrium (DeepMed-Lab-ECNU/BCP, LA_BCP_train.py and BCP_utils.py). Two stages:

    - ``pretrain``, 2000 of 17000 iterations: from labeled samples a and b, a with a box of b pasted in, labels
      likewise.
    - ``self_train``, with a new optimizer and a teacher that starts as a copy of the model and is then its moving
      average: from labeled a, b and unlabeled c, d, a with a box of c pasted in, and d with the same box of b pasted
      in. The pseudo-labels of c and d are the teacher's argmax, reduced to the largest connected component of each
      foreground class.

    The loss of a region is half the sum of Dice and cross entropy, over the voxels of that region only. Pseudo-labeled
    regions have weight 0.5, and the losses of the two directions are added. There is no ramp-up: the public code
    computes one but only logs it. The model predicts, as in that code. Both streams of a batch are divided into pairs.
    If one stream has fewer pairs, it determines the number of mixes, and the surplus of the other is not used in that
    step.

    Differences: each pair has its own box, anywhere in the patch, with rounded sides (public code: one box per step,
    never at the last position, sides rounded down); the teacher takes one forward pass instead of two, and so does the
    model (this affects batch normalization only); the model is not selected by its Dice on the test set before it
    becomes the teacher. The public code also keeps only the largest component of test predictions.

    The public code's batch is 4 labeled and 4 unlabeled samples (lines 39 and 40 at 7879f98): four mixes a step, but
    two in pre-training, from 4 labeled samples, while the unlabeled ones are drawn and not used (131 to 161). Here all
    8 are then labeled, and make four mixes; ``training.batch_size.fill: trainings`` is as there.

    The public code's versions for other datasets cannot be reproduced exactly: both keep the optimizer of the first
    stage. Apart from that, Pancreas is close to ``pretrain_share=0.23`` (with 18-connectivity), and ACDC to
    ``pretrain_share=0.25`` (10000 and 30000 iterations, of 12 + 12 slices; 0.5 until commit b62b10b of July 2023,
    before which its ``pre_iterations`` was not read) on slices, with a Dice with squares over the whole batch, and
    averaged running statistics. On slices the box is a rectangle, and components are those of a slice, as there.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"decay": 0.99}}
    no_regions: ClassVar[str] = ""

    @classmethod
    def roles(cls, options: BCPOptions) -> tuple[Role, ...]:
        """Return one network and its moving average; one of them predicts."""
        teacher = options.predict_with == "teacher"
        return (
            Role("model", predicts=not teacher),
            Role("teacher", trained=False, predicts=teacher, initialized_like="model"),
        )

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the loss of mixed labeled samples or, in the second stage, of labeled and unlabeled samples mixed."""
        mixes = self.mixes(batch, step)  # with the teacher's pass first: the model's activations stay in memory
        yield Losses(self.region_losses(self.run("model", mixes.image), mixes), "model")
