"""The contract of an augmentation, as tests: subclass ``AugmentationContract`` and give it an ``augmentation`` fixture.

Example::

    class TestMyAugmentation(AugmentationContract):
        @pytest.fixture
        def augmentation(self) -> Augmentation:
            return MyAugmentation()
"""

import random
from typing import ClassVar

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from semiseg.interfaces.augmentation import Augmentation
from semiseg.types import Shape

N_SEEDS = 12


def make_sample(augmentation: Augmentation, patch_size: Shape) -> tuple[Tensor, Tensor]:
    """A sample of the size that the augmentation reads: an object of classes 0, 1 and 3 that looks like nothing else.

    The first channel equals the label; the second is noise within the object, and 0 around it.
    """
    label = torch.zeros(augmentation.source_size(patch_size), dtype=torch.int64)
    x, y, z = label.shape
    label[x // 4 : x * 3 // 4, y // 3 : y * 2 // 3, z // 4 : z * 3 // 4] = 1
    label[x // 4 : x // 2, y // 3 : y * 5 // 6, z // 4 : z // 2] = 3
    noise = torch.randn(label.shape, generator=torch.Generator().manual_seed(0))
    return torch.stack([label.float(), noise * (label > 0)]), label


def _seeded(
    augmentation: Augmentation, image: Tensor, label: Tensor | None, patch_size: Shape, seed: int
) -> tuple[Tensor, Tensor | None]:
    """As the data path calls it: one thread, a seeded generator, and the caller's random state as before."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        result = augmentation(image, label, patch_size)
    torch.set_num_threads(n_threads)
    return result


class AugmentationContract:
    """What every augmentation has to keep. The fixture ``augmentation`` gives the one under test."""

    deterministic: ClassVar[bool] = False
    """To be set for one that draws nothing."""

    @pytest.fixture
    def patch_size(self) -> Shape:
        """Three different sides, so that axes cannot be mistaken for one another."""
        return 24, 32, 20

    @staticmethod
    def apply(
        augmentation: Augmentation, patch_size: Shape, seed: int, labeled: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """The made sample after the augmentation, drawn from a seed."""
        image, label = make_sample(augmentation, patch_size)
        return _seeded(augmentation, image, label if labeled else None, patch_size, seed)

    def test_it_reads_at_least_the_patch(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """The source is not smaller than the patch, and has the same center."""
        source = augmentation.source_size(patch_size)
        assert all(s >= p and (s - p) % 2 == 0 for s, p in zip(source, patch_size, strict=True)), source

    def test_sizes_and_types(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """A float32 image and an int64 label of the patch's size, with finite values."""
        for seed in range(N_SEEDS):
            image, label = self.apply(augmentation, patch_size, seed)
            assert label is not None
            assert (image.shape, label.shape) == ((2, *patch_size), patch_size)
            assert (image.dtype, label.dtype) == (torch.float32, torch.int64)
            assert torch.isfinite(image).all()

    def test_the_seed_of_torch_decides(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """The same seed gives the same sample, whatever other random state is; other seeds give others."""
        states = random.getstate(), np.random.get_state()
        random.seed(1)
        np.random.seed(1)
        first = [self.apply(augmentation, patch_size, seed)[0] for seed in range(N_SEEDS)]
        random.seed(2)
        np.random.seed(2)
        again = [self.apply(augmentation, patch_size, seed)[0] for seed in range(N_SEEDS)]
        random.setstate(states[0])
        np.random.set_state(states[1])
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        differ = any(not torch.equal(first[0], other) for other in first[1:])
        assert differ != self.deterministic

    def test_labels_have_no_new_values(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """No class comes in between 1 and 3."""
        for seed in range(N_SEEDS):
            label = self.apply(augmentation, patch_size, seed)[1]
            assert label is not None
            assert set(label.unique().tolist()) <= {0, 1, 3}

    def test_image_and_label_stay_aligned(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """The channel that was the label still tells the object from the background, but at its border.

        A change of intensities may move both values, and turn them around.
        """
        for seed in range(N_SEEDS):
            image, label = self.apply(augmentation, patch_size, seed)
            assert label is not None
            inside = label == 3
            assert inside.any(), "the object is gone"
            low, high = image[0][label == 0].median(), image[0][inside].median()
            nearer = (image[0] - high).abs() < (image[0] - low).abs()
            both = int((nearer & inside).sum())
            dice = 2 * both / int(nearer[label != 1].sum() + inside.sum())
            assert dice > 0.8, f"seed {seed}: image and label overlap by a Dice of {dice:.2f} only"

    def test_unlabeled_samples_change_alike(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """Whether there is a label changes nothing in the image, and no label comes out of nowhere."""
        for seed in range(N_SEEDS):
            image, label = self.apply(augmentation, patch_size, seed, labeled=False)
            assert label is None
            assert torch.equal(image, self.apply(augmentation, patch_size, seed)[0])

    def test_inputs_are_not_written_to(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """The caller's tensors stay as they are."""
        image, label = make_sample(augmentation, patch_size)
        copies = image.clone(), label.clone()
        for seed in range(N_SEEDS):
            _seeded(augmentation, image, label, patch_size, seed)
            assert torch.equal(image, copies[0])
            assert torch.equal(label, copies[1])

    def test_unknown_options_are_refused(self, augmentation: Augmentation) -> None:
        """A misspelt option is an error."""
        with pytest.raises(ValidationError, match="no_such_option"):
            type(augmentation).Options.model_validate({"no_such_option": 1})
