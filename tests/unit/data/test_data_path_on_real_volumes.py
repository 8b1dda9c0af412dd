"""The data path on public volumes, through the readers that users have."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from semiseg.augmentation.luque2023 import Luque2023Augmentation
from semiseg.augmentation.none import NoAugmentation
from semiseg.data.batches import TrainingBatches
from semiseg.data.draws import Draws
from semiseg.data.foreground import structures_of
from semiseg.data.samples import Sampler
from semiseg.data.split import make_split
from semiseg.data.store import CaseStore
from semiseg.preprocessing.prepare import prepare
from semiseg.recipe import schema
from semiseg.registry import create
from semiseg.types import Task

ROOT = os.environ.get("SEMISEG_REAL_DATA", "")
pytestmark = [pytest.mark.real_data, pytest.mark.skipif(not ROOT, reason="SEMISEG_REAL_DATA is not set")]


@pytest.mark.slow
def test_brats_cases_from_files_to_patches_and_back(tmp_path):
    dataset = create("dataset", "brats", {"root": str(Path(ROOT) / "brats2018")})
    cases = dataset.cases()
    split = make_split(cases, schema.Split(test=5, validation=1, labeled=1, total=2), 0)
    store = CaseStore(dataset, schema.Preprocessing(), split, tmp_path)
    store.fill(cases)
    case = split.labeled[0]
    stored = store.labeled(case.id)
    volume = dataset.read_image(case)
    image = stored.image()
    assert image.shape[0] == 4
    assert np.prod(stored.shape) < 0.5 * np.prod(volume.array.shape[1:])
    for channel, raw in zip(image, stored.raw(), strict=True):
        foreground = channel[raw != 0].astype(np.float64)
        assert foreground.mean() == pytest.approx(0, abs=1e-4)
        assert foreground.std() == pytest.approx(1, abs=1e-4)
        assert not channel[raw == 0].any()
    np.testing.assert_array_equal(stored.preparation.restore(stored.label()), dataset.read_label(case).array)
    assert stored.n_outside == 0
    batches = TrainingBatches(
        [stored], [store.image(c.id) for c in split.unlabeled], Luque2023Augmentation(), (64, 64, 64),
        Draws.same(labeled=1, unlabeled=1), 0, 0,
    )  # fmt: skip
    (batch,) = batches.steps(0, 1)
    assert batch.images().shape == (2, 4, 64, 64, 64)
    assert torch.isfinite(batch.images()).all()
    assert set(batch.labeled.label.unique().tolist()) <= {0, 1, 2, 3}


@pytest.mark.slow
def test_small_patches_of_a_tumor_hold_each_of_its_classes_alike_often(tmp_path):
    """In the brain, most patches of 16 voxels hold no tumor, and the classes differ in size."""
    dataset = create("dataset", "brats", {"root": str(Path(ROOT) / "brats2018")})
    cases = dataset.cases()
    split = make_split(cases, schema.Split(labeled=1, total=1), 0)
    store = CaseStore(dataset, schema.Preprocessing(), split, tmp_path, with_planes=True)
    store.fill(cases)
    stored = store.labeled(split.labeled[0].id)
    structures = structures_of(Task(4, dataset.info().classes, (16, 16, 16)))
    np.testing.assert_array_equal(stored.planes.sum(1), np.bincount(stored.label().ravel(), minlength=4)[1:])
    assert chisquare(stored.planes.sum(1)).pvalue < 1e-6

    def centers(share):
        patch = (16, 16, 16)
        sampler = Sampler([stored], [], NoAugmentation(), patch, 1, foreground_share=share, structures=structures)
        labels = [sampler.draw_labeled(step, 0).label for step in range(90)]
        return np.bincount([int(label[8, 8, 8]) for label in labels], minlength=4)

    assert centers(0.0)[0] > 70
    assert centers(1.0)[0] == 0
    assert chisquare(centers(1.0)[1:]).pvalue > 0.01


def test_hippocampus_intensities_come_to_one_scale():
    dataset = create("dataset", "decathlon", {"root": str(Path(ROOT) / "hippocampus")})
    for case in dataset.cases()[:20]:
        volume = dataset.read_image(case)
        prepared = prepare(volume, schema.Preprocessing())
        image = prepared.normalized()
        assert abs(image.mean()) < 0.2
        assert 0.5 < image.std() < 1.2
        label = dataset.read_label(case).array
        cut, n_outside = prepared.preparation.cut_label(label)
        assert n_outside == 0
        np.testing.assert_array_equal(prepared.restore(cut), label)


def test_la_volumes_stay_as_they_are_with_the_recipe_s_preprocessing():
    dataset = create("dataset", "la2018", {"root": str(Path(ROOT) / "la2018")})
    case = dataset.cases()[0]
    volume = dataset.read_image(case)
    options = schema.Preprocessing(normalize="none", foreground="all", crop=False)
    prepared = prepare(volume, options)
    np.testing.assert_array_equal(prepared.normalized(), volume.array)
