import numpy as np
import pytest
import torch

from semiseg.augmentation.fused import FusedAugmentation
from semiseg.augmentation.none import NoAugmentation
from semiseg.augmentation.paper import PaperAugmentation
from semiseg.interfaces.augmentation import Augmentation
from semiseg.registry import create
from semiseg.testing.augmentation import AugmentationContract


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
        return PaperAugmentation(PaperAugmentation.Options(**request.param))


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


CAUGHT_BY = {
    "label stays": "test_image_and_label_stay_aligned",
    "float label": "test_sizes_and_types",
    "new values": "test_labels_have_no_new_values",
    "draws by label": "test_unlabeled_samples_change_alike",
    "own draws": "test_the_seed_of_torch_decides",
    "writes": "test_inputs_are_not_written_to",
}


@pytest.mark.parametrize("fault", CAUGHT_BY)
def test_the_contract_catches(fault):
    with pytest.raises(AssertionError):
        getattr(AugmentationContract(), CAUGHT_BY[fault])(Broken(fault), (24, 32, 20))


@pytest.mark.parametrize(
    ("name", "kind"), [("fused", FusedAugmentation), ("paper", PaperAugmentation), ("none", NoAugmentation)]
)
def test_found_by_name(name, kind):
    assert type(create("augmentation", name)) is kind
