"""``semiseg predict`` computes as its run did, as far as the device can."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch
from drawn_run import copied_to, drawn_run, tied
from helpers_reporter import Heard
from small_run import SMALL

import semiseg as library
from semiseg.engine.runtime import Runtime
from semiseg.errors import Problem
from semiseg.pipeline.plan import make_plan
from semiseg.prediction import precision as module


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return drawn_run(tmp_path_factory.mktemp("drawn") / "run", SMALL)


@pytest.fixture
def images(tmp_path):
    """A folder with two cases."""
    return copied_to(tmp_path / "new", make_plan(library.load_recipe(SMALL)).cases[:2])


def labels(run, images, tmp_path, name, **more):
    return [np.asarray(nib.load(p).dataobj) for p in library.predict(run, images, tmp_path / name, **more)]


def with_precision(run, target, precision, had):
    """A copy of a run folder, as if it had been trained so."""
    shutil.copytree(run, target)
    text = (target / "recipe.yaml").read_text()
    assert "precision: auto" in text
    (target / "recipe.yaml").write_text(text.replace("precision: auto", f"precision: {precision!r}"))
    tied(target, precision=had)
    return target


def test_a_run_in_bf16_predicts_new_images_as_its_test_cases(tmp_path):
    result = library.run({**SMALL, "training": {**SMALL["training"], "precision": "bf16", "epochs": 1}}, tmp_path / "r")
    case = make_plan(library.load_recipe(SMALL)).split.test[0]
    (found,) = library.predict(result.folder, list(case.images), tmp_path / "out")
    assert found.read_bytes() == (result.folder / "predictions" / "best" / found.name).read_bytes()
    assert json.loads((result.folder / "model.json").read_text())["precision"] == "bf16"


def test_the_precision_of_the_recipe_is_taken(run, images, tmp_path):
    """Drawn weights leave voxels so near to a tie that bf16's rounding turns some."""
    in_bf16 = labels(with_precision(run, tmp_path / "bf16", "bf16", "bf16"), images, tmp_path, "a", device="cpu")
    in_float = labels(with_precision(run, tmp_path / "32", "32", "32"), images, tmp_path, "b", device="cpu")
    assert any((a != b).any() for a, b in zip(in_bf16, in_float, strict=True))


@pytest.mark.parametrize(("asked", "had"), [("fp16", "fp16"), ("auto", "bf16")])
def test_what_the_device_lacks_is_said_and_done_in_float32(run, images, tmp_path, asked, had):
    heard = Heard()
    trained_on_gpu = with_precision(run, tmp_path / "gpu", asked, had)
    found = labels(trained_on_gpu, images, tmp_path, "a", device="cpu", reporter=heard)
    in_float = labels(with_precision(run, tmp_path / "32", "32", "32"), images, tmp_path, "b", device="cpu")
    assert all(np.array_equal(a, b) for a, b in zip(found, in_float, strict=True))
    said, _, _ = heard.said  # and that one image has the name of a training case, and that no Dice is expected
    assert said.startswith(f"Note: The run used {had}, which is meant for GPUs. These predictions use float32")


def test_a_wrong_bf16_is_said_and_not_used(run, images, tmp_path, monkeypatch):
    heard, wrong = Heard(), Problem("", "bf16 is wrong on this machine.")
    monkeypatch.setattr(module, "bf16_problems", lambda device, spatial_dims: [wrong])
    found = labels(with_precision(run, tmp_path / "r", "bf16", "bf16"), images, tmp_path, "a", reporter=heard)
    in_float = labels(with_precision(run, tmp_path / "32", "32", "32"), images, tmp_path, "b")
    assert all(np.array_equal(a, b) for a, b in zip(found, in_float, strict=True))
    assert heard.said[0].startswith("Note: bf16 is wrong on this machine. These predictions use float32")


@pytest.mark.parametrize(
    ("asked", "had", "device", "comes_to", "noted"),
    [
        ("32", "32", "new GPU", "32", False),
        ("auto", "32", "new GPU", "32", False),  # scored in float32, on a CPU or an old GPU
        ("auto", "bf16", "new GPU", "bf16", False),
        ("auto", "bf16", "old GPU", "32", True),
        ("auto", "bf16", "cpu", "32", True),
        ("auto", "auto", "new GPU", "bf16", False),  # a run folder of before this was kept
        ("auto", "auto", "old GPU", "32", False),
        ("auto", "auto", "cpu", "32", False),
        ("bf16", "bf16", "new GPU", "bf16", False),
        ("bf16", "bf16", "old GPU", "32", True),
        ("bf16", "bf16", "cpu", "bf16", False),
        ("fp16", "fp16", "old GPU", "fp16", False),
        ("fp16", "fp16", "cpu", "32", True),
    ],
)
def test_the_precision_on_each_device(monkeypatch, asked, had, device, comes_to, noted):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: device == "new GPU")
    precision, note = module.precision_for(asked, had, "cpu" if device == "cpu" else "cuda")
    assert (precision, bool(note)) == (comes_to, noted)


def test_deterministic_and_precision_reach_the_device(run, images, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "Runtime", lambda *options: asked.append(options) or Runtime("cpu"))
    copied = with_precision(run, tmp_path / "copied", "bf16", "bf16")
    text = (copied / "recipe.yaml").read_text()
    (copied / "recipe.yaml").write_text(text.replace("deterministic: false", "deterministic: true"))
    tied(copied)
    library.predict(copied, images, tmp_path / "out", device="cpu")
    assert asked == [("cpu", "bf16", True)]
