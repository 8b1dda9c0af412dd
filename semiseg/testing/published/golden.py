"""Golden values: the loss and gradients of a method's public code, on tensors that follow from a formula.

Run the functions of the public code once on ``wave`` tensors, with networks as here, and put the numbers that come out
into a ``Golden`` with the place of the code. Its ``check`` then compares a strategy with them: no line of that code is
needed, and no random generator is involved.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from semiseg.codings.classes import Classes
from semiseg.interfaces.batch import Batch, LabeledStream, Step, UnlabeledStream
from semiseg.interfaces.strategy import Strategy, Target
from semiseg.losses.dice_form import MONAI, DiceForm
from semiseg.types import Shape

SIZES: Mapping[int, Shape] = {2: (6, 5), 3: (4, 3, 5)}
"""The images' sides by number of spatial axes."""
CHANNELS = 2
HALF = Step(15_000, 30_000, 250)
"""The middle of a training of 30 000 steps; a sigmoid ramp-up over all of it has the factor exp(-1.25) there."""


def wave(shape: Sequence[int], frequency: float) -> Tensor:
    """Return sin(frequency i) for the elements i = 1, 2, … of a tensor in row-major order, float64."""
    return torch.sin(frequency * torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)).reshape(tuple(shape))


def wave_labels(shape: Sequence[int], classes: int, frequency: float) -> Tensor:
    """Return class indices, int64: the interval from -1 to 1 of ``wave``, divided into equal parts."""
    return ((wave(shape, frequency) + 1) / 2 * classes).floor().clamp(max=classes - 1).long()


def wave_batch(
    classes: int, spatial_dims: int, labeled: int = 2, unlabeled: int = 2, targets: Sequence[Target] = ()
) -> Batch:
    """Return a batch in float64: images of frequency 0.7, labels of 1.1, an earlier stage's pseudo-labels of 1.9.

    The first labeled sample lacks the last class: there it is background.
    """
    size, n = SIZES[spatial_dims], labeled + unlabeled
    images = wave((n, CHANNELS, *size), 0.7)
    labels = wave_labels((labeled, *size), classes, 1.1)
    labels[0][labels[0] == classes - 1] = 0
    made = {target.name: target.make(labels, classes).double() for target in targets}
    slots, cases = tuple(range(n)), tuple(f"case{i}" for i in range(n))
    return Batch(
        LabeledStream(images[:labeled], labeled, slots[:labeled], cases[:labeled], labels, made),
        UnlabeledStream(
            images[labeled:],
            unlabeled,
            slots[labeled:],
            cases[labeled:],
            wave_labels((unlabeled, *size), classes, 1.9),
        ),
    )


class Pointwise(nn.Module):
    """Logits (n, K, \\*spatial) that are linear in a voxel's channels: one parameter, (K, C + 1), the bias last.

    Args:
        classes: K.
        frequency: the parameter is ``scale`` times the wave of this frequency.
        scale: 2 gives unsure predictions; with 4, a part of the voxels has a probability above 0.95.
        background: added to the logit of the first class.
    """

    def __init__(self, classes: int, frequency: float, scale: float = 2.0, background: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(scale * wave((classes, CHANNELS + 1), frequency))
        self.background = background

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images (n, C, \\*spatial)."""
        added = torch.zeros_like(self.weight[:, -1])
        added[0] = self.background
        bias = (self.weight[:, -1] + added).reshape(-1, *[1] * (images.dim() - 2))
        return torch.einsum("kc,nc...->nk...", self.weight[:, :-1], images) + bias


@dataclass(frozen=True, kw_only=True)
class Golden:
    """What a method's public code computes from a ``wave_batch``, and the strategy that must compute the same.

    Attributes:
        source: the place of the code, repository@commit:file:lines.
        strategy: the strategy's class, and its ``options`` as in a recipe.
        networks: for each role the frequency of its ``Pointwise`` network, or a function of the number of classes.
        classes: number of classes.
        loss: the reference's loss; where networks are trained by turns, the sum of their losses.
        gradients: by role, the reference's gradients of all parameters in order, flattened, as numbers between spaces;
            other roles must have none.
        form: the form of Dice losses (``training.dice`` in a recipe).
        times: the strategy's loss is this many times the reference's.
        relative: largest difference, relative to the loss and to a role's largest gradient.
    """

    source: str
    strategy: type[Strategy]
    networks: Mapping[str, float | Callable[[int], nn.Module]]
    classes: int
    loss: float
    gradients: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    form: DiceForm = MONAI
    spatial_dims: int = 3
    samples: tuple[int, int] = (2, 2)
    step: Step = HALF
    times: float = 1.0
    relative: float = 1e-9

    def made(self) -> Strategy:
        """Return the strategy, with new networks."""
        built = {
            role: Pointwise(self.classes, made) if isinstance(made, float) else made(self.classes)
            for role, made in self.networks.items()
        }
        strategy = self.strategy(self.strategy.Options.model_validate(self.options), built)
        strategy.coding = Classes(self.form)
        return strategy

    def check(self) -> None:
        """Assert that the strategy has the reference's loss and gradients."""
        loss, gradients = loss_and_gradients(self.made(), self._batch(), self.step)
        assert loss == pytest.approx(self.times * self.loss, rel=self.relative), self.source
        assert gradients.keys() == self.gradients.keys(), self.source
        for role, found in gradients.items():
            wanted = [self.times * float(value) for value in self.gradients[role].split()]
            allowed = self.relative * max(map(abs, wanted))
            assert found == pytest.approx(wanted, rel=0, abs=allowed), f"{role}: {self.source}"

    def ratio(self) -> float:
        """Return the strategy's loss divided by the reference's."""
        return loss_and_gradients(self.made(), self._batch(), self.step)[0] / self.loss

    def _batch(self) -> Batch:
        targets = self.strategy.needs.targets
        return wave_batch(self.classes, self.spatial_dims, *self.samples, targets)


def loss_and_gradients(strategy: Strategy, batch: Batch, step: Step) -> tuple[float, dict[str, list[float]]]:
    """Return the sum of a step's losses, and by role the flattened gradients of its networks that have any."""
    total, trained = 0.0, {role.name for role in strategy.roles(strategy.options) if role.trained}
    for losses in strategy.losses(batch, step):
        # A trained role gets none of a loss that does not update it, as in the engine.
        without = set() if losses.updated is None else trained - losses.updated
        reached = [network for role, network in strategy.networks.items() if role not in without]
        losses.total.backward(inputs=[p for network in reached for p in network.parameters() if p.requires_grad])
        total += losses.total.item()
    found = {
        role: [value for p in network.parameters() if p.grad is not None for value in p.grad.flatten().tolist()]
        for role, network in strategy.networks.items()
    }
    return total, {role: values for role, values in found.items() if values}
