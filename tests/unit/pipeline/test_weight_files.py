"""Files of weights: what is read, and why a file is not."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from semiseg.errors import RecipeError
from semiseg.pipeline.initial_weights.weight_files import read_weights

WEIGHTS = {"conv.weight": torch.arange(12.0).reshape(3, 4), "conv.bias": torch.tensor([1.0, 2.0, 3.0])}


class Pickled:
    """An object that code is needed for."""


def refused(path, key=None):
    with pytest.raises(RecipeError) as raised:
        read_weights(path, key, "cpu")
    (problem,) = raised.value.problems
    assert problem.where == str(path)
    return problem.what, problem.fix


def nested(path, value):
    torch.save(value, path)
    return path


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (WEIGHTS, ""),
        ({"state_dict": WEIGHTS, "epoch": 3}, "state_dict"),
        ({"a": {"b": WEIGHTS}}, "a.b"),
        ({"model": {name: torch.nn.Parameter(value) for name, value in WEIGHTS.items()}}, "model"),
    ],
)
def test_the_only_set_of_weights_is_taken(tmp_path, value, key):
    found, where = read_weights(nested(tmp_path / "w.pt", value), None, "cpu")
    assert where == key
    assert all(torch.equal(found[name], value) for name, value in WEIGHTS.items())
    assert not any(value.requires_grad for value in found.values())


def test_a_training_s_optimizer_and_metrics_are_left_out(tmp_path):
    """As nnU-Net writes a checkpoint: metrics are numpy numbers, and the device is part of the arguments."""
    network = torch.nn.Conv2d(2, 3, 1)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 2, 4, 4)).sum().backward()
    optimizer.step()
    checkpoint = {
        "network_weights": network.state_dict(),
        "optimizer_state": optimizer.state_dict(),
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5), np.float32(0.25)], "epochs": [np.int64(1)]},
        "_best_ema": np.float64(0.5),
        "init_args": {"plans": {"a": 1}, "device": torch.device("cuda")},
    }
    found, key = read_weights(nested(tmp_path / "checkpoint_final.pth", checkpoint), None, "cpu")
    assert key == "network_weights"
    assert torch.equal(found["weight"], network.weight)


def test_one_of_several_sets_is_chosen_by_key(tmp_path):
    other = {name: value + 1 for name, value in WEIGHTS.items()}
    path = nested(tmp_path / "w.pt", {"student": WEIGHTS, "ema": {"teacher": other}})
    what, fix = refused(path)
    assert what == "contains several sets of weights: student, ema.teacher."
    assert fix == "Choose one: {path: w.pt, key: student}."
    assert torch.equal(read_weights(path, "ema.teacher", "cpu")[0]["conv.weight"], other["conv.weight"])
    assert refused(path, "teacher") == (
        "contains no weights at key 'teacher'.",
        "Keys with weights: student, ema.teacher.",
    )


def test_safetensors_are_read_and_on_meta_only_their_header(tmp_path):
    save_file({**WEIGHTS, "steps": torch.tensor([3])}, tmp_path / "w.safetensors")
    found, key = read_weights(tmp_path / "w.safetensors", None, "cpu")
    assert key == ""
    assert torch.equal(found["conv.weight"], WEIGHTS["conv.weight"])
    empty, _ = read_weights(tmp_path / "w.safetensors", None, "meta")
    assert {name: (value.shape, value.device.type) for name, value in empty.items()} == {
        name: (value.shape, "meta") for name, value in found.items()
    }
    assert [name for name, value in empty.items() if not value.is_floating_point()] == ["steps"]


@pytest.mark.parametrize("is_zip", [True, False])  # as torch.save writes today, and before torch 1.6
def test_without_memory_names_shapes_and_types_are_the_same(tmp_path, is_zip):
    value = {"w": torch.zeros(3, 4), "n": torch.tensor([[3]]), "empty": torch.zeros(0, 2), "none": torch.zeros(0, 2)}
    torch.save(value, tmp_path / "w.pt", _use_new_zipfile_serialization=is_zip)
    found, _ = read_weights(tmp_path / "w.pt", None, "meta")
    assert {one.device.type for one in found.values()} == {"meta"}
    assert {name: (one.shape, one.dtype) for name, one in found.items()} == {
        name: (one.shape, one.dtype) for name, one in value.items()
    }
    assert torch.equal(read_weights(tmp_path / "w.pt", None, "cpu")[0]["w"], value["w"])


@pytest.mark.slow
def test_reading_shapes_takes_no_memory(tmp_path):
    pytest.importorskip("resource")
    torch.save({"w": torch.zeros(2**26)[None]}, tmp_path / "w.pt")  # 256 MiB
    code = (
        "import resource, sys; from pathlib import Path;"
        "from semiseg.pipeline.initial_weights.weight_files import read_weights as read;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "before = peak(); read(Path(sys.argv[1]), None, 'meta'); print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "w.pt"], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 64 * (2**20 if sys.platform == "darwin" else 2**10)


def test_a_file_with_objects_is_refused_with_the_object_and_a_way(tmp_path):
    what, fix = refused(nested(tmp_path / "w.pt", {"state_dict": WEIGHTS, "config": Pickled()}))
    assert what == (
        f"contains an object ({__name__}.Pickled); reading objects can run any code, so only tensors are read."
    )
    assert "weights_only=False" in fix
    assert "safetensors" in fix


class Hostile:
    def __reduce__(self):
        return os.system, ("touch ran",)


def test_a_hostile_file_is_not_run_and_the_message_does_not_advise_to_run_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    what, fix = refused(nested(tmp_path / "w.pt", {"state_dict": WEIGHTS, "config": Hostile()}))
    assert "system" in what
    assert "reading objects can run any code" in what
    assert "If you trust its source" in fix
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_tensors_that_are_not_dense_numbers_are_named(tmp_path, device):
    path = nested(tmp_path / "w.pt", {**WEIGHTS, "odd.weight": torch.eye(3).to_sparse()})
    with pytest.raises(RecipeError, match=r"not dense numbers: odd.weight \(sparse_coo\)"):
        read_weights(path, None, device)


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 cut off"])
def test_other_and_damaged_files_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    what, _ = refused(tmp_path / name)
    assert what.startswith("cannot be read as ")


def test_a_file_without_layers_is_refused(tmp_path):
    path = nested(tmp_path / "w.pt", {"loss": torch.tensor(1.0), "bias": torch.zeros(3), "names": ["a", "b", "c"]})
    assert refused(path)[0] == "contains no weights of layers."
