"""What the networks of a stage say of the unlabeled cases, kept in the run folder for the next."""

import json
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from semiseg.data.case_records import StoredImage
from semiseg.engine.runtime import Runtime
from semiseg.errors import RunError
from semiseg.interfaces.strategy import Stage
from semiseg.pipeline.samples.pseudo_labels import PseudoLabels, mean_iou
from semiseg.progress import Reporter
from semiseg.runs.checkpoint import save_state, snapshot_file
from semiseg.runs.folder import RunFolder

STAGES = (Stage("teacher", 0.5, snapshots=2), Stage("student", 0.5, pseudo_labels=True))
RELIABLE = (STAGES[0], Stage("reliable", 0.5, pseudo_labels=True, reliable=0.5))
NAMES = ("a", "b", "c", "d")


@dataclass(frozen=True, slots=True, eq=False)
class Case(StoredImage):
    def image(self):
        return np.load(self.image_file)


class Threshold(nn.Module):
    """Class 1 where the image is above a weight."""

    def __init__(self):
        super().__init__()
        self.at = nn.Parameter(torch.tensor(0.5))


class FakeModel:
    """A model of three classes that predicts 1 above its threshold, and counts its predictions."""

    def __init__(self):
        self.strategy, self.predicted = Threshold(), 0
        self.task = SimpleNamespace(classes=("background", "a", "b"))

    def predictor(self, device):
        return self

    def labels(self, image, slice_axis):
        self.predicted += 1
        return (image[0] > float(self.strategy.at.detach())).astype(np.uint8)


@pytest.fixture
def made(tmp_path):
    """Four cases whose voxels lie in [0, 1], from all below 0.4 (a) to many between 0.4 and 0.5 (d)."""
    (tmp_path / "run").mkdir()
    cases = []
    for number, name in enumerate(NAMES):
        image = np.full((1, 4, 4, 4), 0.1, np.float32)
        image[0, 0] = 0.9
        image[0, 1, :number] = 0.45
        np.save(tmp_path / f"{name}.npy", image)
        cases.append(Case(name, tmp_path / f"{name}.npy", preparation=SimpleNamespace(slice_axis=2)))
    model = FakeModel()
    labels = PseudoLabels(cases, model, RunFolder(tmp_path / "run"), Runtime("cpu", "32"), Reporter())
    return labels, model, cases


def snapshots(labels, *thresholds):
    for number, at in enumerate(thresholds, 1):
        path = snapshot_file(labels.folder.checkpoints, "teacher", number)
        save_state(path, {"strategy": {"at": torch.tensor(at)}, "step": number})


def test_a_stage_without_pseudo_labels_has_the_cases_as_they_are(made):
    labels, model, cases = made
    assert labels.of(STAGES, 0, True, lambda: None) is cases
    assert model.predicted == 0


def test_a_stage_that_begins_is_labeled_once_by_the_networks_as_they_are(made):
    labels, model, cases = made
    heard = []
    served = labels.of(STAGES, 1, True, lambda: heard.append(1))
    assert [case.case_id for case in served] == list(NAMES)
    assert len(heard) == 4
    for case, stored in zip(cases, served, strict=True):
        assert np.array_equal(stored.raw_pseudo(), (case.image()[0] > 0.5).astype(np.uint8))
    assert labels.of(STAGES, 1, True, lambda: None)[0].pseudo_file == served[0].pseudo_file
    labels.of(STAGES, 1, False, lambda: None)
    assert model.predicted == 4


def test_pseudo_labels_come_with_counts_for_drawing_foreground_voxels_if_asked_for(made):
    labels, _, cases = made
    assert [case.planes for case in labels.of(STAGES, 1, True, lambda: None)] == [None] * 4
    served = replace(labels, with_planes=True).of(STAGES, 1, False, lambda: None)
    for case, stored in zip(cases, served, strict=True):
        above = (case.image()[0] > 0.5).sum(axis=(1, 2))
        np.testing.assert_array_equal(stored.planes, [above, np.zeros(4)])


def test_a_stop_in_the_middle_keeps_what_is_there(made):
    labels, model, _ = made

    def stop():
        if model.predicted == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        labels.of(STAGES, 1, True, stop)
    with pytest.raises(RunError, match="cannot be read"):
        labels.of(STAGES, 1, False, lambda: None)
    assert len(labels.of(STAGES, 1, True, lambda: None)) == 4
    assert model.predicted == 4


def test_other_weights_label_anew(made):
    labels, model, cases = made
    labels.of(STAGES, 1, True, lambda: None)
    model.strategy.at.data.fill_(0.4)
    served = labels.of(STAGES, 1, True, lambda: None)
    assert np.array_equal(served[3].raw_pseudo(), (cases[3].image()[0] > 0.4).astype(np.uint8))
    assert served[3].raw_pseudo()[1, 0, 0] == 1


def test_files_that_changed_are_refused_by_name(made):
    labels, _, _ = made
    served = labels.of(STAGES, 1, True, lambda: None)
    np.save(served[1].pseudo_file, np.zeros((4, 4, 4), np.uint8))
    with pytest.raises(RunError, match="have changed: b"):
        labels.of(STAGES, 1, False, lambda: None)


def test_the_most_stable_cases_come_first_and_the_weights_are_as_before(made):
    """With thresholds 0.4 and 0.3 on the way to 0.5, what lies between is what changed: nothing of a, most of d."""
    labels, model, _ = made
    snapshots(labels, 0.4, 0.3)
    served = labels.of(RELIABLE, 1, True, lambda: None)
    assert [case.case_id for case in served] == ["a", "b"]
    assert float(model.strategy.at.detach()) == 0.5
    manifest = json.loads((labels.folder.pseudo_labels / "reliable" / "manifest.json").read_text())
    # d: 12 of 64 voxels turn from 1 to 0; IoU of class 1 is 16/28, of class 0 36/48; class 2 is nowhere.
    assert manifest["stability"]["d"] == pytest.approx((16 / 28 + 36 / 48) / 2)
    assert manifest["stability"]["a"] == 1
    assert set(manifest["sha256"]) == set(NAMES)


def test_the_mean_iou_is_over_the_classes_that_are_there():
    one, other = np.array([0, 0, 1, 1], np.uint8), np.array([0, 1, 1, 1], np.uint8)
    assert mean_iou(one, other, 3) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert mean_iou(one, one, 3) == 1
    assert mean_iou(np.zeros(4, np.uint8), np.ones(4, np.uint8), 3) == 0
