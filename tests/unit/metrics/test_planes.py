"""Metrics of 2D images: an axis with one voxel has no neighbors, so borders and contours are those of the plane."""

import math

import numpy as np
import pytest

from semiseg.interfaces.metric import MaskPair
from semiseg.metrics import points
from semiseg.metrics.areas import surface_areas
from semiseg.metrics.points import border, border_points
from semiseg.registry import create
from semiseg.scoring.score_case import score_case
from semiseg.testing.metric import make_pair
from semiseg.types import Geometry

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*ndimage.(filters|morphology):DeprecationWarning"),
]
PLANE = (False, False, True)


@pytest.fixture(params=["numba", "scipy"])
def loops(request, monkeypatch):
    if request.param == "scipy":
        monkeypatch.setattr(points, "kernels", lambda: None)


def plane_pairs(seed, n):
    """Random masks in a plane with its own spacing, and a thickness that must not matter."""
    generator = np.random.default_rng(seed)
    for _ in range(n):
        shape = tuple(generator.integers(2, 24, 2))
        masks = [generator.random(shape) < generator.choice([0.05, 0.4, 0.9]) for _ in range(2)]
        for mask in masks:
            mask[tuple(generator.integers(0, shape))] = True
        x, y = generator.choice([0.5, 1.0, 1.7], 2).tolist()
        yield make_pair(*(mask[..., None] for mask in masks), (x, y, 40.0))


def monai(pair, name):
    import torch
    from monai import metrics

    batch = [torch.from_numpy(mask[..., 0])[None, None] for mask in (pair.prediction, pair.reference)]
    more = {"include_background": True, "spacing": pair.spacing[:2]}
    return float(
        {
            "hd95": lambda: metrics.compute_hausdorff_distance(*batch, percentile=95, **more),
            "hd": lambda: metrics.compute_hausdorff_distance(*batch, **more),
            "assd": lambda: metrics.compute_average_surface_distance(*batch, symmetric=True, **more),
            "nsd": lambda: metrics.compute_surface_dice(*batch, [1.0], **more),
        }[name]()
    )


@pytest.mark.parametrize("name", ["hd95", "hd", "assd", "nsd"])
def test_planes_have_monais_values_in_2d(loops, name):
    metric = create("metric", name)
    for pair in plane_pairs(1, 25):
        assert metric(pair) == pytest.approx(monai(pair, name), abs=1e-4)


@pytest.mark.parametrize(("name", "options"), [("hd95", {"kind": "pooled"}), ("hd", {}), ("assd", {})])
def test_planes_have_medpys_values_in_2d(loops, name, options):
    from medpy.metric import binary

    metric = create("metric", name, options)
    for pair in plane_pairs(2, 25):
        masks = pair.prediction[..., 0], pair.reference[..., 0]
        assert metric(pair) == pytest.approx(getattr(binary, name)(*masks, voxelspacing=pair.spacing[:2]))


@pytest.mark.parametrize("tolerance", [0.4, 1.0, 2.5])
def test_contours_have_the_lengths_of_surface_distance_in_2d(loops, monkeypatch, tolerance):
    for name, value in (("NaN", np.nan), ("Inf", np.inf)):
        monkeypatch.setattr(np, name, value, raising=False)
    package = pytest.importorskip("surface_distance")
    nsd = create("metric", "nsd", {"tolerance": tolerance, "kind": "area"})
    hd95 = create("metric", "hd95", {"kind": "area"})
    for pair in plane_pairs(3, 25):
        masks = pair.reference[..., 0], pair.prediction[..., 0]
        found = package.compute_surface_distances(*masks, pair.spacing[:2])
        assert nsd(pair) == pytest.approx(package.compute_surface_dice_at_tolerance(found, tolerance))
        assert hd95(pair) == pytest.approx(package.compute_robust_hausdorff(found, 95))


def test_the_contour_of_a_rectangle():
    mask = np.ones((4, 6, 1), dtype=bool)
    _, lengths = surface_areas(mask, (2.0, 0.5, 9.0), PLANE)
    # Sides of 3 and 5 steps between pixel centers, and four corners cut diagonally.
    assert lengths.sum() == pytest.approx(2 * 3 * 2.0 + 2 * 5 * 0.5 + 4 * math.hypot(2.0, 0.5) / 2)


def test_the_border_of_a_plane_is_its_outline(loops):
    mask = np.ones((5, 4, 1), dtype=bool)
    outline = mask.copy()
    outline[1:4, 1:3] = False
    np.testing.assert_array_equal(border(mask, PLANE), outline)
    np.testing.assert_array_equal(border_points(mask, PLANE), np.flatnonzero(outline))
    assert border(mask).all()  # in a volume that has slices above and below


def test_a_hole_in_the_middle_is_far_from_the_outline(loops):
    reference = np.ones((9, 9, 1), dtype=bool)
    prediction = reference.copy()
    prediction[4, 4] = False
    pair = make_pair(reference, prediction)
    assert create("metric", "hd")(pair) == 3  # from the hole's neighbors to the outline
    # One slice of a larger volume: every voxel is a border voxel, and the hole is 1 from its neighbors.
    assert create("metric", "hd")(make_pair(reference, prediction, image_shape=(9, 9, 3))) == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
def test_any_axis_may_be_the_flat_one(loops, order):
    for pair in plane_pairs(4, 6):
        masks = [mask.transpose(order) for mask in (pair.reference, pair.prediction)]
        turned = MaskPair(
            *masks,
            tuple(pair.spacing[i] for i in order),
            "mm",
            tuple(pair.image_shape[i] for i in order),
        )
        for name in ("hd95", "assd", "nsd", "lesion_hd95", "lesion_dice"):
            assert create("metric", name)(turned) == pytest.approx(create("metric", name)(pair))


def test_the_diagonal_of_a_plane_lies_in_it():
    masks = np.zeros((2, 3, 4, 1), dtype=bool)
    assert make_pair(*masks, (1.0, 1.0, 50.0)).image_diagonal == 5
    assert make_pair(*masks, (1.0, 1.0, 1.0), (3, 4, 12)).image_diagonal == 13


def test_a_row_and_a_single_pixel_have_values(loops):
    reference = np.array([0, 1, 1, 1, 0, 0], dtype=bool)[:, None, None]
    prediction = np.array([0, 0, 1, 1, 1, 1], dtype=bool)[:, None, None]
    pair = make_pair(reference, prediction, (2.0, 1.0, 1.0))
    assert pair.flat == (False, True, True)
    assert create("metric", "hd")(pair) == 4  # ends 1 and 3 against 2 and 5
    assert create("metric", "nsd", {"kind": "area", "tolerance": 0.0})(pair) == 0
    pixel = np.ones((1, 1, 1), dtype=bool)
    assert create("metric", "hd95")(make_pair(pixel, pixel)) == 0


def test_lesions_are_those_of_the_plane():
    reference, prediction = np.zeros((2, 40, 30, 1), dtype=bool)
    reference[3:7, 3:7], reference[30:34, 20:24] = True, True
    prediction[3:7, 3:7] = True
    metric = create("metric", "lesion_dice")
    assert metric(make_pair(reference, prediction)) == 0.5  # one found, one missed
    prediction[34, 24] = True  # touches the second one's corner
    assert metric(make_pair(reference, prediction)) == 0.5
    prediction[33, 23] = True
    assert metric(make_pair(reference, prediction)) == pytest.approx((1 + 2 * 1 / (16 + 2)) / 2)


def test_scores_of_pictures_are_in_pixels():
    grid = Geometry((20, 20, 1), np.diag([-1.0, -1, 1, 1]), "pixel")
    reference, prediction = np.zeros((2, 20, 20, 1), dtype=np.uint8)
    reference[5:10, 5:10] = 1
    prediction[8:13, 5:10] = 1
    metrics = {"hd95": create("metric", "hd95"), "dice": create("metric", "dice")}
    distance, overlap = score_case(reference, prediction, grid, ["background", "a"], metrics, case="p")
    assert (distance.value, distance.unit, distance.is_distance) == (3, "pixel", True)
    assert (overlap.unit, overlap.is_distance) == ("1", False)
    assert distance.image_diagonal == pytest.approx(20 * math.sqrt(2))
