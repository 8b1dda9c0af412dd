import pickle

import numpy as np
import pytest
import torch

from semiseg.augmentation.fused import FusedAugmentation
from semiseg.augmentation.luque2023 import Luque2023Augmentation
from semiseg.augmentation.none import NoAugmentation
from semiseg.interfaces.augmentation import Augmentation
from semiseg.registry import create
from semiseg.testing.augmentation import AugmentationContract

in_2d_and_3d = pytest.mark.parametrize("patch", [(24, 32, 20), (48, 64)], ids=["3D", "2D"])


class TestPaper(AugmentationContract):
    @pytest.fixture(
        params=[
            {},
            {"probability": 1.0, "rotation": 30.0, "margin": 0.5},
            {"probability": 1.0, "keep_background": False, "flip_axes": ["left-right"]},
            {"probability": 0.0, "probabilities": {"flipping": 0.5}},
        ]
    )
    def augmentation(self, request):
        return Luque2023Augmentation(Luque2023Augmentation.Options(**request.param))


class TestFused(AugmentationContract):
    @pytest.fixture(
        params=[
            {},
            {"probability": 1.0, "rotation": 30.0, "margin": 0.5},
            {"probability": 1.0, "keep_background": False, "flip_axes": ["left-right"]},
        ]
    )
    def augmentation(self, request):
        return FusedAugmentation(FusedAugmentation.Options(**request.param))


class TestNone(AugmentationContract):
    deterministic = True

    @pytest.fixture
    def augmentation(self):
        return NoAugmentation()


class Broken(Augmentation):
    """An augmentation with a fault."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def __call__(self, image, label, patch_size):
        flip = bool(torch.rand(()) < 0.5)
        if self.fault == "draws by label" and label is not None:
            torch.rand(())
        if self.fault == "writes":
            return image.mul_(1 + torch.rand(())), label
        if self.fault == "own draws":
            image = image * float(np.random.rand())
        image = image + 0.1 * torch.rand(()) * (image != 0)
        if self.fault == "label stays" and flip:
            return image.flip(1), label
        if self.fault == "float label" and label is not None:
            return image, label.float()
        if self.fault == "new values" and label is not None:
            return image, (label + label.roll(1, 0)) // 2
        return image, label


class Shifted(Augmentation):
    """The label lies a voxel from the image, and both are flipped at random after it or before."""

    def __init__(self, before_flip):
        super().__init__()
        self.before_flip = before_flip

    def __call__(self, image, label, patch_size):
        if label is not None and self.before_flip:
            label = label.roll(1, 0)
        if torch.rand(()) < 0.5:
            image, label = image.flip(1), None if label is None else label.flip(0)
        return image, label if label is None or self.before_flip else label.roll(1, -1)


class TwoChannels(NoAugmentation):
    """Takes for granted that there are two channels."""

    def __call__(self, image, label, patch_size):
        return torch.stack([image[0], image[1]]), label


class WithGradient(NoAugmentation):
    """Gives an image that requires a gradient."""

    def __call__(self, image, label, patch_size):
        return image.clone().requires_grad_(), label


class Lambda(NoAugmentation):
    """Holds what no other process can be sent."""

    def __init__(self):
        super().__init__()
        self.change = lambda image: image


class Forgets(NoAugmentation):
    """Changes the image, but not after it was pickled."""

    factor = 1.0

    def __reduce__(self):
        return Forgets, ()

    def __call__(self, image, label, patch_size):
        return image * self.factor, label


def forgets():
    augmentation = Forgets()
    augmentation.factor = 2.0
    return augmentation


class Brighter(Augmentation):
    """Makes images brighter, and the form without that does, too, or it flips otherwise."""

    def __init__(self, fault, weak=False):
        super().__init__()
        self.fault, self.weak = fault, weak

    def geometric(self):
        return Brighter(self.fault, weak=True)

    def __call__(self, image, label, patch_size):
        flip = bool(torch.rand(()) < 0.5) != (self.weak and self.fault == "flips")
        if not self.weak or self.fault == "gamma":
            image = image.abs() ** 0.5
        if self.weak and self.fault == "scale":
            image = image * 1.1
        return (image.flip(1), None if label is None else label.flip(0)) if flip else (image, label)


@in_2d_and_3d
@pytest.mark.parametrize(
    ("fault", "reason"), [("gamma", "changes intensities"), ("scale", "changes intensities"), ("flips", "otherwise")]
)
def test_a_geometric_form_that_is_none_is_caught(fault, reason, patch):
    check = AugmentationContract().test_its_geometric_form_moves_voxels_and_changes_no_intensity
    check(Brighter("none"), patch)
    with pytest.raises(AssertionError, match=reason):
        check(Brighter(fault), patch)


CAUGHT_BY = {
    "label stays": "test_image_and_label_stay_aligned",
    "float label": "test_sizes_and_types",
    "new values": "test_labels_have_no_new_values",
    "draws by label": "test_unlabeled_samples_change_alike",
    "own draws": "test_the_seed_of_torch_decides",
    "writes": "test_inputs_are_not_written_to",
}


@in_2d_and_3d
@pytest.mark.parametrize("fault", CAUGHT_BY)
def test_the_contract_catches(fault, patch):
    with pytest.raises(AssertionError):
        getattr(AugmentationContract(), CAUGHT_BY[fault])(Broken(fault), patch)


@in_2d_and_3d
@pytest.mark.parametrize(
    ("augmentation", "caught_by", "error", "reason"),
    [
        (Shifted(before_flip=False), "test_image_and_label_are_not_shifted", AssertionError, r"0\.00, -1\.00 voxels"),
        (Shifted(before_flip=True), "test_image_and_label_are_not_shifted", AssertionError, r"half .* 1\.00, 0\.00"),
        (TwoChannels(), "test_sizes_and_types", IndexError, "index 1"),
        (WithGradient(), "test_sizes_and_types", AssertionError, None),
        (Lambda(), "test_it_can_be_sent_to_worker_processes", (AttributeError, pickle.PicklingError), "lambda"),
        (forgets(), "test_it_can_be_sent_to_worker_processes", AssertionError, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Augmentation) else None,
)
def test_the_contract_catches_more(augmentation, caught_by, error, reason, patch):
    check = getattr(AugmentationContract(), caught_by)
    with pytest.raises(error, match=reason):
        check(augmentation, patch)


class OnlyIn3D(NoAugmentation):
    """Fails in 2D, as it declares."""

    spatial_dims = frozenset({3})

    def __call__(self, image, label, patch_size):
        return image.flip(3), None if label is None else label.flip(2)


class TestOnlyIn3D(AugmentationContract):
    deterministic = True

    @pytest.fixture
    def augmentation(self):
        return OnlyIn3D()


class CutOut(Augmentation):
    """Right: a cube or square of each image is zero; what is seen of the object lies a little off its middle."""

    def __call__(self, image, label, patch_size):
        image = image.clone()
        starts = [int(torch.randint(0, n - 7, ())) for n in patch_size]
        image[(slice(None), *(slice(start, start + 7) for start in starts))] = 0
        return image, label


class TestCutOut(AugmentationContract):
    @pytest.fixture
    def augmentation(self):
        return CutOut()


@pytest.mark.parametrize(
    ("name", "kind"), [("fused", FusedAugmentation), ("luque2023", Luque2023Augmentation), ("none", NoAugmentation)]
)
def test_found_by_name(name, kind):
    assert type(create("augmentation", name)) is kind
