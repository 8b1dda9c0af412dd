"""Agreement with MONAI, MedPy and surface-distance, on random and real masks, empty ones included."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from semiseg.metrics.areas import area_table
from semiseg.registry import create
from semiseg.scoring.presets import PRESETS
from semiseg.testing.metric import make_pair

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning"),  # MONAI's call of itself
    pytest.mark.filterwarnings("ignore:the (prediction|ground truth).*may result in nan/inf"),
    pytest.mark.filterwarnings("ignore:invalid value encountered in.*divide:RuntimeWarning"),  # MedPy's 0 / 0
    pytest.mark.filterwarnings("ignore:.*ndimage.(filters|morphology):DeprecationWarning"),
]


def random_pairs(seed, n, largest=14):
    generator = np.random.default_rng(seed)
    for _ in range(n):
        shape = tuple(generator.integers(2, largest, 3))
        masks = [generator.random(shape) < generator.choice([0.02, 0.3, 0.9]) for _ in range(2)]
        yield make_pair(*masks, tuple(generator.choice([0.5, 1.0, 1.7, 3.0], 3).tolist()))


def empty_pairs():
    full = np.zeros((5, 5, 5), dtype=bool)
    full[1:3, 1:4, 2] = True
    empty = np.zeros_like(full)
    return [make_pair(full, empty), make_pair(empty, full), make_pair(empty, empty)]


def real_pairs():
    """A real case's structures against themselves moved, at 1 mm."""
    root = os.environ.get("SEMISEG_REAL_DATA")
    if not root:
        pytest.skip("SEMISEG_REAL_DATA is not set")
    from semiseg.io.nifti import read_nifti

    label = read_nifti(min(Path(root).glob("brats2018/*/*_seg.nii.gz")))[0][40:200, 40:220, 20:140]
    for value in (1, 2, 4):
        yield make_pair(np.ascontiguousarray(label == value), np.roll(label == value, (2, 1, 1), (0, 1, 2)))


def monai(pair, name):
    import torch
    from monai import metrics

    batch = [torch.from_numpy(mask)[None, None] for mask in (pair.prediction, pair.reference)]
    more = {"include_background": True, "spacing": pair.spacing}
    if name in ("sensitivity", "precision"):
        counts = metrics.get_confusion_matrix(*(mask.float() for mask in batch))
        return float(metrics.compute_confusion_matrix_metric(name, counts))
    return float(
        {
            "dice": lambda: metrics.compute_dice(*batch),
            "jaccard": lambda: metrics.compute_iou(*batch),
            "hd95": lambda: metrics.compute_hausdorff_distance(*batch, percentile=95, **more),
            "hd": lambda: metrics.compute_hausdorff_distance(*batch, **more),
            "assd": lambda: metrics.compute_average_surface_distance(*batch, symmetric=True, **more),
            "nsd": lambda: metrics.compute_surface_dice(*batch, [1.0], **more),
        }[name]()
    )


def medpy(pair, name):
    from medpy.metric import binary

    masks = pair.prediction, pair.reference
    try:
        if name in ("hd95", "hd", "assd"):
            return float(getattr(binary, name)(*masks, voxelspacing=pair.spacing))
        names = {"dice": "dc", "jaccard": "jc", "volume_difference": "ravd"}
        return abs(float(getattr(binary, names.get(name, name))(*masks)))
    except RuntimeError:  # how MedPy says that there is no value
        return math.nan


@pytest.fixture
def surface_distance(monkeypatch):
    for name, value in (("NaN", np.nan), ("Inf", np.inf)):  # it is older than NumPy 2
        monkeypatch.setattr(np, name, value, raising=False)
    return pytest.importorskip("surface_distance")


def brats2023(package, pair, name):
    """As its published evaluation reads: both empty are told apart first, infinity is 374 mm."""
    reference, prediction = pair.reference, pair.prediction
    if name.startswith("lesion"):
        return brats2023_lesions(package, pair)[name]
    if pair.status == "both_empty":
        return 0.0 if name == "hd95" else 1.0
    if name == "dice":
        return 2 * (reference & prediction).sum() / (reference.sum() + prediction.sum())
    if name == "sensitivity":
        return (reference & prediction).sum() / (reference.sum() + np.finfo(float).tiny)
    value = package.compute_robust_hausdorff(package.compute_surface_distances(reference, prediction, pair.spacing), 95)
    return 374.0 if math.isinf(value) else value


def brats2023_lesions(package, pair):
    """``get_LesionWiseScores`` and ``get_LesionWiseResults`` for BraTS-GLI, step by step."""
    structure, touching = ndimage.generate_binary_structure(3, 2), np.ones((3, 3, 3))
    predicted, _ = ndimage.label(pair.prediction, touching)
    grown, count = ndimage.label(ndimage.binary_dilation(pair.reference, structure, iterations=3), touching)
    found, rows = set(), []
    for number in range(1, count + 1):
        lesion = (grown == number) & pair.reference
        near = ndimage.binary_dilation(lesion, structure, iterations=3)
        components = set(np.unique(predicted * near).tolist()) - {0}
        found |= components
        mask = np.isin(predicted, list(components))
        distances = package.compute_surface_distances(lesion, mask, pair.spacing)
        hd95 = package.compute_robust_hausdorff(distances, 95)
        dice = 2 * (lesion & mask).sum() / (lesion.sum() + mask.sum())
        rows.append((lesion.sum() * math.prod(pair.spacing), dice, 374.0 if math.isinf(hd95) else hd95))
    made_up = len(set(np.unique(predicted).tolist()) - found - {0})
    counted = [row for row in rows if row[0] > 50]
    n = len(counted) + made_up
    if not n:
        return {"lesion_dice": 1.0, "lesion_hd95": 0.0}
    return {
        "lesion_dice": sum(row[1] for row in counted) / n,
        "lesion_hd95": (sum(row[2] for row in counted) + 374 * made_up) / n,
    }


def lesion_pairs(seed, n):
    """Boxes here and there in both masks: found, missed, made up, close to each other, and too small to count."""
    generator = np.random.default_rng(seed)
    for _ in range(n):
        masks = np.zeros((2, 40, 36, 32), dtype=bool)
        for _ in range(6):
            corner, size = generator.integers(0, (34, 30, 26)), generator.integers(1, 7, 3)
            for mask in masks:
                if generator.random() < 0.7:
                    low = np.maximum(corner + generator.integers(-2, 3, 3), 0)
                    mask[tuple(slice(a, a + b) for a, b in zip(low, size, strict=True))] = True
        yield make_pair(*masks, tuple(generator.choice([0.8, 1.0, 1.7], 3).tolist()))


@pytest.mark.parametrize("pairs", [lambda: random_pairs(1, 40), empty_pairs], ids=["random", "empty"])
@pytest.mark.parametrize(("tool", "name"), [(t, n) for t in ("monai", "medpy") for n in PRESETS[t].metrics])
def test_presets_reproduce_monai_and_medpy(tool, name, pairs):
    if tool == "medpy" and name in ("dice", "sensitivity", "precision") and isinstance(np.count_nonzero([1]), int):
        pytest.skip("with this numpy, MedPy returns 0 where a ratio is undefined; with a later one, nan")
    theirs = {"monai": monai, "medpy": medpy}[tool]
    ours = PRESETS[tool].metrics[name].create(name)
    for pair in pairs():
        assert ours(pair) == pytest.approx(theirs(pair, name), abs=1e-3 if ours.distance else 1e-6, nan_ok=True)


@pytest.mark.parametrize(
    "pairs",
    [lambda: random_pairs(2, 60), lambda: lesion_pairs(4, 12), empty_pairs],
    ids=["random", "lesions", "empty"],
)
@pytest.mark.parametrize("name", list(PRESETS["brats2023"].metrics))
def test_the_preset_reproduces_brats_2023(surface_distance, name, pairs):
    ours = PRESETS["brats2023"].metrics[name].create(name)
    for pair in pairs():
        assert ours(pair) == pytest.approx(brats2023(surface_distance, pair, name), abs=1e-9)


@pytest.mark.parametrize("tolerance", [0.4, 1.0, 2.5])
def test_nsd_by_area_is_surface_distances(surface_distance, tolerance):
    ours = create("metric", "nsd", {"tolerance": tolerance, "kind": "area"})
    for pair in random_pairs(3, 60):
        if pair.status == "ok":
            found = surface_distance.compute_surface_distances(pair.reference, pair.prediction, pair.spacing)
            assert ours(pair) == pytest.approx(surface_distance.compute_surface_dice_at_tolerance(found, tolerance))


def test_every_area_is_monais():
    from monai.metrics.utils import create_table_neighbour_code_to_surface_area

    spacing = (0.7, 1.3, 2.9)
    theirs = create_table_neighbour_code_to_surface_area(spacing)[0]
    ours = area_table(spacing)
    # Their codes count the eight voxels in the same order, the first with the highest bit.
    np.testing.assert_allclose(ours, [theirs[int(f"{code:08b}"[::-1], 2)] for code in range(256)], rtol=1e-6)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["dice", "jaccard", "hd95", "hd", "assd", "nsd"])
def test_monai_on_a_real_case(name):
    ours = create("metric", name)
    for pair in real_pairs():
        assert ours(pair) == pytest.approx(monai(pair, name), abs=1e-3)


@pytest.mark.real_data
def test_pooled_hd95_is_medpys_on_a_real_case():
    ours = create("metric", "hd95", {"kind": "pooled"})
    for pair in real_pairs():
        assert ours(pair) == pytest.approx(medpy(pair, "hd95"), abs=1e-9)


@pytest.mark.real_data
def test_area_hd95_is_surface_distances_on_a_real_case(surface_distance):
    ours = create("metric", "hd95", {"kind": "area"})
    for pair in real_pairs():
        found = surface_distance.compute_surface_distances(pair.reference, pair.prediction, pair.spacing)
        assert ours(pair) == pytest.approx(surface_distance.compute_robust_hausdorff(found, 95), abs=1e-9)


def test_one_percentile_of_both_directions_hides_what_is_far_off_in_one():
    reference = np.zeros((60, 12, 12), dtype=bool)
    reference[2:8, 2:8, 2:8] = True
    prediction = reference.copy()
    prediction[50, 2:5, 2:5] = True  # 9 of 161 predicted border voxels are false and far: 5.6 %, pooled 2.9 %
    pair = make_pair(reference, prediction)
    assert create("metric", "hd95", {"kind": "pooled"})(pair) == medpy(pair, "hd95") == 0
    assert create("metric", "hd95")(pair) > 40
