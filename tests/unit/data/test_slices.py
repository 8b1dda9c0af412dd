import itertools

import numpy as np
import pytest
import torch
from made_dataset import MadeDataset

from semiseg.data.batches import TrainingBatches
from semiseg.data.draws import Draws
from semiseg.data.split import make_split
from semiseg.data.store import CaseStore
from semiseg.interfaces.augmentation import Augmentation
from semiseg.interfaces.component import ComponentOptions
from semiseg.preprocessing.slices import box_of, plane_of, slice_axis
from semiseg.recipe import schema
from semiseg.types import Geometry


class Margin(Augmentation):
    """Reads two voxels more on each side, and cuts them off."""

    def source_size(self, patch_size):
        return tuple(n + 4 for n in patch_size)

    def __call__(self, image, label, patch_size):
        cut = tuple(slice(2, 2 + n) for n in patch_size)
        return image[(slice(None), *cut)], None if label is None else label[cut]


def grid(spacing, order=(0, 1, 2), shape=(4, 5, 6), unit="mm"):
    affine = np.eye(4)
    affine[:3, :3] = np.diag(spacing)[list(order)]
    return Geometry(shape, affine, unit)


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [((1, 1, 5), 2), ((5, 1, 1), 0), ((1, 4, 1), 1), ((1, 1, 1), 2), ((3, 1, 3.001), 2), ((3, 3.01, 1), 1)],
)
def test_slices_are_across_the_largest_spacing(spacing, expected):
    assert slice_axis(grid(spacing)) == expected


def test_the_slice_axis_is_anatomical():
    # The file's first axis runs along superior: slices across it are axial.
    turned = grid((6, 1, 1), order=(1, 2, 0))
    assert slice_axis(turned) == 2
    assert [slice_axis(turned, name) for name in ("right", "anterior", "superior")] == [0, 1, 2]


def test_an_image_of_one_slice_is_that_slice():
    assert slice_axis(grid((1, 1, 1), shape=(1, 20, 18))) == 0
    assert slice_axis(grid((1, 1, 5), shape=(20, 1, 18))) == 1
    assert slice_axis(grid((1, 1, 1), shape=(1, 1, 18))) == 2


def test_a_picture_has_one_slice_whatever_the_recipe_says():
    assert slice_axis(grid((1, 1, 1), shape=(40, 30, 1), unit="pixel"), "right") == 2


def test_a_patch_of_two_sides_is_a_box_one_voxel_thick():
    assert [box_of((8, 9), axis) for axis in range(3)] == [(1, 8, 9), (8, 1, 9), (8, 9, 1)]
    assert box_of((8, 9, 7), 1) == (8, 9, 7)
    box = np.arange(24).reshape(2, 4, 1, 3)
    np.testing.assert_array_equal(plane_of(box, (4, 3), 1), box[:, :, 0])
    assert plane_of(box, (4, 1, 3), 1) is box


@pytest.fixture(scope="module", params=["right", "anterior", "superior"])
def stored(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("slices")
    dataset = MadeDataset(root / "data", 2, unlabeled=1)
    split = make_split(dataset.cases(), schema.Split(labeled=1), 0)
    store = CaseStore(dataset, schema.Preprocessing(slice_axis=request.param), split, root / "store")
    store.fill(dataset.cases())
    return store.labeled("a"), store.image("b"), ["right", "anterior", "superior"].index(request.param)


def batches(stored, patch, **options):
    labeled, unlabeled, _ = stored
    size = Draws.same(labeled=2, unlabeled=2)
    augmentation = Margin(ComponentOptions())
    return TrainingBatches([labeled], [unlabeled], augmentation, patch, size, 1, 0, n_classes=2, **options)


def places(volume, label, axis, image, mask):
    """Return the slices of a volume that hold a sample, at any place in their plane."""
    found = []
    planes, masks = np.moveaxis(volume, axis + 1, 0), np.moveaxis(label, axis, 0)
    for number, (plane, truth) in enumerate(zip(planes, masks, strict=True)):
        spare = [n - p for n, p in zip(plane.shape[1:], image.shape[1:], strict=True)]
        for start in itertools.product(*(range(n + 1) for n in spare)):
            cut = tuple(slice(s, s + n) for s, n in zip(start, image.shape[1:], strict=True))
            if np.array_equal(plane[(slice(None), *cut)], image) and (mask is None or np.array_equal(truth[cut], mask)):
                found.append(number)
    return found


def test_samples_are_places_in_slices(stored):
    labeled, unlabeled, axis = stored
    seen = set()
    for batch in batches(stored, (8, 9)).steps(0, 12):
        assert batch.labeled.image.shape == (2, 2, 8, 9)
        assert batch.labeled.label.shape == (2, 8, 9)
        for image, label in zip(batch.labeled.image.numpy(), batch.labeled.label.numpy(), strict=True):
            (number,) = places(labeled.image(), labeled.label(), axis, image, label)
            seen.add(number)
        for image in batch.unlabeled.image.numpy():
            assert len(places(unlabeled.image(), labeled.label(), axis, image, None)) == 1
    assert len(seen) > labeled.shape[axis] // 2


def test_a_plane_smaller_than_the_patch_is_padded_in_its_plane_alone(stored):
    labeled, _, axis = stored
    plane = tuple(n for i, n in enumerate(labeled.shape) if i != axis)
    (batch,) = batches(stored, (24, 24)).steps(0, 1)
    start = tuple((24 - n) // 2 + (24 - n) % 2 for n in plane)
    cut = tuple(slice(s, s + n) for s, n in zip(start, plane, strict=True))
    for image in batch.labeled.image:
        assert places(labeled.image(), labeled.label(), axis, image[(slice(None), *cut)].numpy(), None)
        outside = image.clone()
        outside[(slice(None), *cut)] = 0
        assert not outside.any()


def test_samples_do_not_depend_on_the_number_of_workers(stored):
    labeled, unlabeled, _ = stored
    size = Draws.same(labeled=1, unlabeled=1)
    alone, together = (
        list(
            TrainingBatches([labeled], [unlabeled], Margin(ComponentOptions()), (8, 8), size, 1, n, n_classes=2).steps(
                0, 3
            )
        )
        for n in (0, 1)
    )
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one.images(), other.images())
