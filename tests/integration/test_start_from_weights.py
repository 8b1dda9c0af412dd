"""A run that starts from weights resumes without them, and its report names them."""

import copy
import json
import sys

import pytest
import torch
from helpers_initial_weights import equal
from helpers_reporter import Heard
from small_run import SMALL

import semiseg
from semiseg.engine.trainer import Trainer
from semiseg.errors import Interrupted
from semiseg.io.json import read_json
from semiseg.runs.checkpoint import file_digest, load_weights_of


def recipe(source=None, **strategy):
    made = copy.deepcopy(SMALL)
    made["split"] = {"test": 1, "validation": 1, "labeled": 1}
    made["strategy"] = strategy or {"name": "supervised"}
    made["training"] |= {"epochs": 2} | ({"initial_weights": str(source)} if source else {})
    return made


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained") / "run"
    semiseg.run(recipe(), folder)
    return folder


def write_encoder(pretrained, path):
    """Write the weights of the pretrained network but its head, as another program names them."""
    source = load_weights_of(pretrained / "checkpoints/best.pt")["strategy"]
    named = {name.replace("networks.model.", "module."): value for name, value in source.items()}
    torch.save({"state_dict": {name: v for name, v in named.items() if ".2." not in name}}, path)
    return path


@pytest.fixture
def weights(pretrained, tmp_path):
    return write_encoder(pretrained, tmp_path / "encoder.pt")


@pytest.fixture(scope="module")
def whole(pretrained, tmp_path_factory):
    """The folder of a run in stages that was left alone."""
    home = tmp_path_factory.mktemp("whole")
    semiseg.run(recipe(write_encoder(pretrained, home / "encoder.pt"), name="self_training"), home / "run")
    return home / "run"


def last(folder):
    return load_weights_of(folder / "checkpoints/last.pt")["strategy"]


def stop_at(step):
    return lambda trainer: trainer._leave() if trainer.done == step else None


@pytest.mark.parametrize("stop", [2, 5])  # in the first stage, and in the one that draws its network anew
def test_stages_resume_alike_without_the_file(weights, whole, tmp_path, monkeypatch, stop):
    made = recipe(weights, name="self_training")
    monkeypatch.setattr(Trainer, "_check_stop", stop_at(stop))
    with pytest.raises(Interrupted):
        semiseg.run(made, tmp_path / "run")
    monkeypatch.undo()
    weights.unlink()
    heard = Heard()
    semiseg.run(made, tmp_path / "run", resume=True, reporter=heard)
    assert equal(last(tmp_path / "run"), last(whole))
    assert any(text.startswith(f"Resuming after step {stop} of") for text in heard.said)
    assert not any("start" in text for text in heard.said if text.startswith("Note: "))


def test_killed_before_the_first_checkpoint_it_starts_from_the_same_weights(weights, whole, tmp_path, monkeypatch):
    made = recipe(weights, name="self_training")
    monkeypatch.setattr(Trainer, "_one_step", lambda *arguments: sys.exit())
    with pytest.raises(SystemExit):
        semiseg.run(made, tmp_path / "run")
    monkeypatch.undo()
    assert (tmp_path / "run/recipe.yaml").exists()
    assert not list((tmp_path / "run/checkpoints").glob("step-*.pt"))
    torch.save({"state_dict": {"other.weight": torch.zeros(3, 3)}}, weights)
    semiseg.run(made, tmp_path / "run", resume=True)
    assert equal(last(tmp_path / "run"), last(whole))


def test_a_finished_run_needs_neither_the_file_nor_its_copy(weights, tmp_path):
    made = recipe(weights)
    first = semiseg.run(made, tmp_path / "run")
    weights.unlink()
    (tmp_path / "run/initial_weights.pt").unlink()
    assert semiseg.run(made, tmp_path / "run", resume=True).summary == first.summary


def test_the_run_folder_and_its_report_name_the_weights(pretrained, tmp_path):
    made = recipe(pretrained)
    semiseg.run(made, tmp_path / "run")
    record = read_json(tmp_path / "run/initial_weights.json")
    digest = file_digest(pretrained / "checkpoints/best.pt")
    model = record["roles"]["model"]
    assert (model["run"], model["role"], model["checkpoint"], model["sha256"]) == (
        *(str(pretrained), "model", "best", digest),
    )
    (seen,) = record["made_with"]
    split = json.loads((pretrained / "split.json").read_text())
    assert seen["labeled"] == split["labeled"]
    assert f"({digest[:12]})" in (tmp_path / "run/report.html").read_text()


def test_check_reports_the_match_and_reads_no_weights(pretrained, weights):
    lines = semiseg.check(recipe(weights), quick=True)
    assert any(line.startswith(f"Note: model starts from {weights} (state_dict): 6 of 8 tensors") for line in lines)
    assert any(line.startswith("Note: drawn anew in model: model.2.conv.weight, model.2.conv.bias") for line in lines)
