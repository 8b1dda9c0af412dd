"""The command before a server starts, and the folder of its app."""

import json
import sys

import pytest

from semiseg.errors import RunError
from semiseg_monai_label import cli
from semiseg_monai_label.settings import Settings, new_app


@pytest.fixture
def settings(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    record = {"modalities": ["t1", "t2"], "classes": ["background", "edema"], "class_values": [0, 3], "ignore": 255}
    (run / "model.json").write_text(json.dumps(record))
    return Settings(runs=[run], images=None, by="entropy", n=2, seed=0, show="t2")


def test_an_app_is_written_once_and_another_one_refused(settings, tmp_path):
    served, is_new = new_app(tmp_path / "app", settings)
    assert is_new
    assert served.values == {"edema": 3, "ignore": 255}
    assert served.shown == 1
    assert new_app(tmp_path / "app", settings) == (served, False)
    with pytest.raises(RunError, match="it serves something else"):
        new_app(tmp_path / "app", settings.model_copy(update={"n": 3}))
    with pytest.raises(RunError, match="is not an empty folder"):
        new_app(tmp_path, settings)


def test_without_monai_label_the_command_says_how_to_install_it(settings, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: None)
    command = ["semiseg-monai-label", str(settings.runs[0]), "--by", "entropy", "-o", str(tmp_path / "app")]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as raised:
        cli.main()
    assert raised.value.code == 2
    assert 'pip install "semiseg-monai-label[server]"' in capsys.readouterr().err
    assert not (tmp_path / "app").exists()


@pytest.mark.parametrize(
    ("run", "more", "code", "message"),
    [
        ("run", ["--show", "t3"], 4, "no modality 't3'"),
        ("nothing", [], 4, "it is no run folder"),
        ("run", ["--by", "entorpy"], 2, "Unknown acquisition 'entorpy'"),
        ("run", [], 4, "recipe.yaml"),  # after the folder was made
    ],
)
def test_what_cannot_be_served_is_refused_and_leaves_no_folder(
    settings, tmp_path, monkeypatch, capsys, run, more, code, message
):
    monkeypatch.setattr(cli, "_require_monai_label", lambda: None)
    command = ["semiseg-monai-label", str(tmp_path / run), "--by", "entropy", "-o", str(tmp_path / "app"), *more]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as raised:
        cli.main()
    assert raised.value.code == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "app").exists()
