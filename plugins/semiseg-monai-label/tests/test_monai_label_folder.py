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
    served = new_app(tmp_path / "app", settings)
    assert served.values == {"edema": 3, "ignore": 255}
    assert served.shown == 1
    assert new_app(tmp_path / "app", settings) == served
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
    ("run", "more", "message"),
    [("run", ["--show", "t3"], "no modality 't3'"), ("nothing", [], "it is no run folder")],
)
def test_what_cannot_be_served_is_refused_before_anything_is_written(
    settings, tmp_path, monkeypatch, capsys, run, more, message
):
    monkeypatch.setattr(cli, "_require_monai_label", lambda: None)
    command = ["semiseg-monai-label", str(tmp_path / run), "--by", "entropy", "-o", str(tmp_path / "app"), *more]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as raised:
        cli.main()
    assert raised.value.code == 4
    assert message in capsys.readouterr().err
    assert not (tmp_path / "app").exists()
