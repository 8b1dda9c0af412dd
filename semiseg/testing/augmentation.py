"""Contract tests of augmentations: subclass ``AugmentationContract`` and provide an ``augmentation`` fixture.

Example::

    class TestMyAugmentation(AugmentationContract):
        @pytest.fixture
        def augmentation(self) -> Augmentation:
            return MyAugmentation()
"""

import itertools
import pickle
import random
from typing import ClassVar

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from semiseg.interfaces.augmentation import Augmentation
from semiseg.testing.capabilities import declared_or_skip
from semiseg.types import Shape

N_SEEDS = 12
N_SHIFTS = 48
"""Seeds averaged per shift: enough to detect one voxel even if a part of each image is cut out."""


def make_sample(augmentation: Augmentation, patch_size: Shape, n_channels: int = 2) -> tuple[Tensor, Tensor]:
    """Return a 2D or 3D sample of the augmentation's source size: an asymmetric object of classes 0, 1 and 3.

    The first channel equals the label; the others are noise within the object, and 0 around it.
    """
    label = torch.zeros(augmentation.source_size(patch_size), dtype=torch.int64)
    x, y = label.shape[:2]
    large = [slice(x // 4, x * 3 // 4), slice(y // 3, y * 2 // 3)]
    small = [slice(x // 4, x // 2), slice(y // 3, y * 5 // 6)]
    for z in label.shape[2:]:
        large.append(slice(z // 4, z * 3 // 4))
        small.append(slice(z // 4, z // 2))
    label[tuple(large)] = 1
    label[tuple(small)] = 3
    return _with_noise(label, n_channels), label


def make_ellipsoid(augmentation: Augmentation, patch_size: Shape) -> tuple[Tensor, Tensor]:
    """Return a sample whose object is a centered ellipsoid of one class, two thirds of the patch long on each axis.

    In 2D it is an ellipse.
    """
    size = augmentation.source_size(patch_size)
    places = [3 * (torch.arange(n) - (n - 1) / 2) / p for n, p in zip(size, patch_size, strict=True)]
    squares = torch.stack(torch.meshgrid(*places, indexing="ij")).square()
    label = (squares.sum(0) < 1).long()
    return _with_noise(label, 2), label


def _with_noise(label: Tensor, n_channels: int) -> Tensor:
    noise = torch.randn((n_channels - 1, *label.shape), generator=torch.Generator().manual_seed(0))
    return torch.cat([label.float()[None], noise * (label > 0)])


def _seeded(
    augmentation: Augmentation, image: Tensor, label: Tensor | None, patch_size: Shape, seed: int
) -> tuple[Tensor, Tensor | None]:
    """Call it like the data path: one thread, a seeded generator, the caller's random state restored."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        result = augmentation(image, label, patch_size)
    torch.set_num_threads(n_threads)
    return result


def _middle(mask: Tensor) -> Tensor:
    return mask.nonzero().float().mean(0)


def _voxels(distances: Tensor) -> str:
    return ", ".join(f"{distance:.2f}" for distance in distances.tolist())


class AugmentationContract:
    """Contract of every augmentation, for each number of spatial axes that it declares (``spatial_dims``).

    The fixture ``augmentation`` returns the one under test.
    """

    deterministic: ClassVar[bool] = False
    """Set to True for an augmentation without randomness."""

    @pytest.fixture(params=[3, 2], ids=["3D", "2D"])
    def spatial_dims(self, request: pytest.FixtureRequest, augmentation: Augmentation) -> int:
        """Return each declared number of axes in turn."""
        return declared_or_skip(request.param, augmentation)

    @pytest.fixture
    def patch_size(self, spatial_dims: int) -> Shape:
        """Return different sides, so that axes cannot be confused."""
        return (24, 32, 20) if spatial_dims == 3 else (48, 64)

    @staticmethod
    def apply(
        augmentation: Augmentation, patch_size: Shape, seed: int, labeled: bool = True, n_channels: int = 2
    ) -> tuple[Tensor, Tensor | None]:
        """Apply the augmentation to the generated sample with a seed."""
        image, label = make_sample(augmentation, patch_size, n_channels)
        return _seeded(augmentation, image, label if labeled else None, patch_size, seed)

    def test_numbers_of_axes_are_declared(self, augmentation: Augmentation) -> None:
        """``spatial_dims``: 2, 3 or both."""
        assert augmentation.spatial_dims
        assert augmentation.spatial_dims <= {2, 3}

    def test_it_reads_at_least_the_patch(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """The source is at least as large as the patch, and has the same center."""
        source = augmentation.source_size(patch_size)
        assert len(source) == len(patch_size)
        assert all(s >= p and (s - p) % 2 == 0 for s, p in zip(source, patch_size, strict=True)), source

    def test_sizes_and_types(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """The result is a float32 image with finite values and an int64 label, both of the patch's size."""
        for seed, n_channels in itertools.product(range(N_SEEDS), (1, 2, 4)):
            image, label = self.apply(augmentation, patch_size, seed, n_channels=n_channels)
            assert label is not None
            assert (image.shape, label.shape) == ((n_channels, *patch_size), patch_size)
            assert (image.dtype, label.dtype) == (torch.float32, torch.int64)
            assert torch.isfinite(image).all()
            assert not image.requires_grad

    def test_the_seed_of_torch_decides(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """The same seed gives the same sample, independent of other random state; other seeds give others."""
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
        assert differ or self.deterministic, "the sample is the same for all seeds"
        assert not (differ and self.deterministic), "it is declared deterministic, but samples differ between seeds"

    def test_labels_have_no_new_values(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """Interpolation creates no class between 1 and 3."""
        for seed in range(N_SEEDS):
            label = self.apply(augmentation, patch_size, seed)[1]
            assert label is not None
            assert set(label.unique().tolist()) <= {0, 1, 3}

    def test_image_and_label_stay_aligned(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """The channel that equals the label still separates object and background, except at the border.

        A change of intensities may move both values, and swap their order.
        """
        for seed in range(N_SEEDS):
            image, label = self.apply(augmentation, patch_size, seed)
            assert label is not None
            inside = label == 3
            assert inside.any(), "the label no longer contains the object"
            low, high = image[0][label == 0].median(), image[0][inside].median()
            nearer = (image[0] - high).abs() < (image[0] - low).abs()
            both = int((nearer & inside).sum())
            dice = 2 * both / int(nearer[label != 1].sum() + inside.sum())
            assert dice > 0.8, f"seed {seed}: the Dice of image and label is only {dice:.2f}"

    def test_image_and_label_are_not_shifted(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """An object's center is the same in image and label: on average over samples, and in half of them."""
        sample = make_ellipsoid(augmentation, patch_size)
        shifts = []
        for seed in range(N_SHIFTS):
            image, label = _seeded(augmentation, *sample, patch_size, seed)
            assert label is not None
            low, high = (image[0][label == index].median() for index in (0, 1))
            nearer = (image[0] - high).abs() < (image[0] - low).abs()
            shifts.append(_middle(nearer) - _middle(label == 1))
        # A shift before a random flip has no preferred sign, so the mean would not reveal it.
        mean, usual = torch.stack(shifts).nanmean(0), torch.stack(shifts).abs().nanmedian(0).values
        assert (mean.abs() < 0.25).all(), f"the image is shifted from the label by {_voxels(mean)} voxels on average"
        assert (usual < 0.5).all(), (
            f"in half of the samples the image is shifted from the label by {_voxels(usual)} voxels"
        )

    def test_unlabeled_samples_change_alike(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """The presence of a label does not change the image, and without one no label is returned."""
        for seed in range(N_SEEDS):
            image, label = self.apply(augmentation, patch_size, seed, labeled=False)
            assert label is None
            assert torch.equal(image, self.apply(augmentation, patch_size, seed)[0])

    def test_inputs_are_not_written_to(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """The caller's tensors are not modified."""
        image, label = make_sample(augmentation, patch_size)
        copies = image.clone(), label.clone()
        for seed in range(N_SEEDS):
            _seeded(augmentation, image, label, patch_size, seed)
            assert torch.equal(image, copies[0])
            assert torch.equal(label, copies[1])

    def test_its_geometric_form_moves_voxels_and_changes_no_intensity(
        self, augmentation: Augmentation, patch_size: Shape
    ) -> None:
        """If there is one, it reads as much and moves labels alike, and is linear: a weighted mean of the voxels."""
        weak = augmentation.geometric()
        if weak is None:
            pytest.skip("it has no geometric form")
        assert weak.source_size(patch_size) == augmentation.source_size(patch_size)
        image, label = make_sample(augmentation, patch_size)
        other, ones = image.square() - 0.3 * image, torch.ones_like(image)
        for seed in range(N_SEEDS):
            moved = self.apply(augmentation, patch_size, seed)[1]
            one, of_label = _seeded(weak, image, label, patch_size, seed)
            assert moved is not None
            assert of_label is not None
            assert torch.equal(of_label, moved), f"seed {seed}: it moves voxels otherwise than the augmentation itself"
            two, both, of_ones = (
                _seeded(weak, sample, None, patch_size, seed)[0] for sample in (other, 2 * image - 3 * other, ones)
            )
            same = torch.allclose(both, 2 * one - 3 * two, atol=1e-3) and abs(float(of_ones.max()) - 1) < 1e-3
            assert same, f"seed {seed}: it changes intensities, not only the places of voxels"

    def test_it_can_be_sent_to_worker_processes(self, augmentation: Augmentation, patch_size: Shape) -> None:
        """A pickled copy gives the same samples: there is no lambda, open file or lock."""
        copy = pickle.loads(pickle.dumps(augmentation))
        for seed in range(N_SEEDS):
            pairs = zip(self.apply(augmentation, patch_size, seed), self.apply(copy, patch_size, seed), strict=True)
            assert all(one is not None and other is not None and torch.equal(one, other) for one, other in pairs)

    def test_unknown_options_are_refused(self, augmentation: Augmentation) -> None:
        """A misspelled option is an error."""
        with pytest.raises(ValidationError, match="no_such_option"):
            type(augmentation).Options.model_validate({"no_such_option": 1})
