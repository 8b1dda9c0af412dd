"""Models in other programs' formats predict what semiseg predicts, and hold nothing that they should not."""

import json
import os
import re
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from drawn_run import drawn_run
from safetensors.torch import load_file
from small_run import SMALL

import semiseg as library
from semiseg.errors import ArgumentError, RunError, StorageError
from semiseg.export.portable.formats import export_onnx, export_torchscript
from semiseg.export.portable.huggingface import export_huggingface
from semiseg.pipeline.plan import make_plan
from semiseg.quality.calibration import Calibration, Key, MeasuredCase, calibrations_of, write_calibration
from semiseg.quality.unlike import KnownCases
from semiseg.runs.checkpoint import file_digest
from semiseg.runs.folder import RunFolder

PAGE = Path(__file__).parents[2] / "docs/how-to/export-a-model.md"
CHANGES = {
    "cps": (),
    "slices": ("training.patch_size=[16,16]",),
    "regions": ("training.outputs=regions", "strategy.name=supervised"),
    "mirrored": ("inference.mirror=true", "strategy.name=supervised", "augmentation={name: fused}"),
}


@pytest.fixture(scope="module", params=CHANGES)
def run(request, tmp_path_factory):
    return drawn_run(tmp_path_factory.mktemp("drawn") / request.param, SMALL, *CHANGES[request.param])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that has ended, with scores and a decision on components."""
    recipe = {**SMALL, "inference": {"overlap": 0.0, "postprocess": "auto"}}
    return library.run(recipe, tmp_path_factory.mktemp("finished") / "run").folder


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("backbone", ["basic_unet", "unet", "unetr", "vnet", "vnet_la"])
def test_every_backbone_can_be_exported(backbone, dims, tmp_path):
    """With batch normalization where the backbone has it, and a patch with sides of 32 voxels."""
    norm = [f"backbone.norm={name}" for name in ("batch",) if backbone in {"basic_unet", "unet"}]
    changes = [f"training.patch_size={[32] * dims}", "strategy.name=supervised", f"backbone.name={backbone}", *norm]
    run = drawn_run(tmp_path / "run", SMALL, *changes)
    assert export_onnx(run, tmp_path / "onnx") <= 1e-4
    assert export_torchscript(run, tmp_path / "ts") <= 1e-4


def onnx_model(folder):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    return lambda patches: session.run(None, {"images": patches})[0]


def torchscript_model(folder):
    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.load"):
        model = torch.jit.load(str(folder / "model.ts"))
    return lambda patches: model(torch.from_numpy(patches)).detach().numpy()


@pytest.mark.parametrize(
    ("export", "load"),
    [(export_onnx, onnx_model), (export_torchscript, torchscript_model)],
    ids=["onnx", "torchscript"],
)
def test_the_file_predicts_what_the_run_predicts(run, tmp_path, export, load):
    said = export(run, tmp_path / "out")
    about = json.loads((tmp_path / "out/description.json").read_text())
    assert about["largest_difference_from_torch"] == said <= 1e-4
    predictor = library.load(run, device="cpu")._ensemble.members[0].predictor
    shape = about["input"]["shape"][1:]
    for count in (1, 4):
        patches = np.random.default_rng(count).normal(size=(count, *shape)).astype(np.float32)
        with torch.no_grad():
            expected = predictor._predict(torch.from_numpy(patches)).numpy()
        found = load(tmp_path / "out")(patches)
        assert found.shape == (count, *about["output"]["shape"][1:])
        np.testing.assert_allclose(found, expected, atol=1e-5)
    weights = load_file(tmp_path / "out/networks.safetensors")
    networks = library.load(run).networks
    assert all(
        torch.equal(value, networks[name.split(".")[0]].state_dict()[name.split(".", 1)[1]])
        for name, value in weights.items()
    )
    assert {name.split(".")[0] for name in weights} == {*networks}


def test_the_description_has_all_that_a_prediction_takes(run, tmp_path):
    export_torchscript(run, tmp_path / "out", checkpoint="last")
    about = json.loads((tmp_path / "out/description.json").read_text())
    task = library.load(run).task
    assert about["checkpoint"] == "last"
    assert about["labels"] == {"1": "necrosis", "2": "edema", "4": "enhancing"}
    assert about["input"]["modalities"] == ["t1", "t1ce", "t2", "flair"]
    assert about["windows"] == {"size": list(task.patch_size), "overlap": 0.0, "weighting": "gaussian", "sigma": 0.125}
    assert about["output"]["of"] == list(task.regions or task.classes)
    assert {*about["regions"]} == {*task.regions}
    told = " ".join(about["steps"])
    assert ("slice by slice" in told) == (run.name == "slices")
    assert ("above 0.5" in told) == (run.name == "regions")
    assert ("mean over" in told) == (run.name == "mirrored") == bool(about["mirrored_axes"])


def test_another_folder_a_missing_run_and_a_missing_package_are_told(run, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("")
    with pytest.raises(StorageError, match="not empty"):
        export_torchscript(run, tmp_path / "full")
    with pytest.raises(RunError, match="not a run folder"):
        export_onnx(tmp_path, tmp_path / "out")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(ArgumentError, match="needs onnxscript") as caught:
        export_onnx(run, tmp_path / "out")
    assert 'pip install "semiseg[onnx]"' in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_file_that_predicts_something_else_is_not_kept(run, tmp_path, monkeypatch):
    monkeypatch.setattr("semiseg.export.portable.formats._torchscript", lambda path: lambda patches: torch.zeros(1))
    with pytest.raises(RunError, match="differ by"):
        export_torchscript(run, tmp_path / "out")
    assert not (tmp_path / "out/model.ts").exists()
    assert not (tmp_path / "out/description.json").exists()


def test_a_repository_predicts_and_expects_what_the_run_does(finished, tmp_path):
    home = export_huggingface(finished, tmp_path / "hub")
    images = make_plan(library.load_recipe(SMALL)).cases[0].images
    (ours,) = library.predict(finished, images, tmp_path / "ours", quality=False)
    (theirs,) = library.predict(home, images, tmp_path / "theirs", quality=False)
    assert ours.read_bytes() == theirs.read_bytes()
    with pytest.raises(RunError, match=r"only the best weights.*last is asked for"):
        library.load(home, checkpoint="last")
    last = export_huggingface(finished, tmp_path / "last", checkpoint="last")
    np.testing.assert_array_equal(
        library.load(last, checkpoint="last").predict(images), library.load(finished, checkpoint="last").predict(images)
    )
    with pytest.raises(ArgumentError, match="model repository already"):
        export_huggingface(home, tmp_path / "again")


def test_a_repository_names_no_case_and_no_place(finished, tmp_path):
    split = json.loads((finished / "split.json").read_text())
    names = [case["id"] for role in ("labeled", "unlabeled", "validation", "test") for case in split[role]]
    weights = file_digest(finished / "checkpoints/best.pt")
    key = Key(checkpoint="best", weights=weights, mirrored_axes=((),), largest=())
    cases = [MeasuredCase(case=name, patient=name, agreement={"edema": 0.5}, dice={"edema": 0.4}) for name in names]
    known = KnownCases.of(names, names, np.ones((len(names), 3)))
    write_calibration(RunFolder(finished), Calibration(key=key, structures=[], cases=cases, known=known))
    home = export_huggingface(finished, tmp_path / "hub")
    assert {path.name for path in home.iterdir()} == {
        *("README.md", "config.json", "model.json", "model.safetensors", "recipe.yaml", "summary.json"),
        *("postprocessing.json", "quality.json"),
    }
    assert len(names) == 6
    (calibration,) = calibrations_of(RunFolder(home))
    assert calibration.key.weights == file_digest(home / "model.safetensors")
    assert [case.dice for case in calibration.cases] == [{"edema": 0.4}] * 6
    assert calibration.known is None
    texts = [path.read_text() for path in home.iterdir() if path.suffix != ".safetensors"]
    assert not [name for name in names for text in texts if name in text]
    assert not [text for text in texts if str(finished) in text or "/root" in text or "/home" in text]
    readme = (home / "README.md").read_text()
    assert readme.startswith("---\nlibrary_name: semiseg\n")
    assert "| dice |" in readme
    assert "2 labeled, 2 unlabeled, 1 validation, 1 test" in readme


def test_lists_of_cases_become_counts(tmp_path):
    cases = [case.id for case in make_plan(library.load_recipe(SMALL)).cases]
    split = {"test": cases[:1], "validation": cases[1:2], "labeled": cases[2:4], "total": cases[2:]}
    home = export_huggingface(drawn_run(tmp_path / "run", {**SMALL, "split": split}), tmp_path / "hub")
    text = (home / "recipe.yaml").read_text()
    assert not [case for case in cases if case in text]
    assert re.search(r"split:\n  test: 1\n  validation: 1\n  labeled: 2\n  total: 4\n", text)
    assert library.load(home).modalities


def test_damaged_weights_of_a_repository_are_told(finished, tmp_path):
    home = export_huggingface(finished, tmp_path / "hub")
    weights = home / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(RunError, match=r"does not match its digest in summary\.json"):
        library.load(home)
    weights.write_bytes(content[:100])
    with pytest.raises(RunError, match="cannot be read"):
        library.load(home)


def documented():
    """The page's function that predicts with onnxruntime, nibabel and numpy alone."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    return block.replace('labels = predict("new/scan_01.nii.gz")\n', "")


@pytest.mark.real_data
@pytest.mark.skipif("SEMISEG_REAL_DATA" not in os.environ, reason="SEMISEG_REAL_DATA is not set")
def test_the_documented_prediction_without_semiseg(tmp_path, monkeypatch):
    source = Path(os.environ["SEMISEG_REAL_DATA"]) / "hippocampus"
    recipe = {
        **SMALL,
        "dataset": {"name": "decathlon", "root": str(source)},
        "split": {"labeled": 2, "validation": 1, "test": 1, "total": 4},
        "inference": {"overlap": 0.25},
        "training": {**SMALL["training"], "patch_size": [16, 48, 16]},
    }
    run = drawn_run(tmp_path / "run", recipe)
    export_onnx(run, tmp_path / "exported")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(documented(), str(PAGE), "exec"), names)
    model = library.load(run)
    for path in sorted((source / "imagesTr").glob("hippocampus_*.nii.gz"))[:5]:
        expected = nib.as_closest_canonical(nib.Nifti1Image(model.predict(path), nib.load(path).affine))
        same = names["predict"](path) == np.asanyarray(expected.dataobj)
        assert same.mean() >= 0.999
        assert len(np.unique(names["predict"](path))) > 1
