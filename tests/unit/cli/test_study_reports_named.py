"""Where a study's commands say that reports are."""

import pytest
from typer.testing import CliRunner

from semiseg.cli.main import app
from semiseg.study import run
from semiseg.study.run import StudyRun
from semiseg.study.status import Status
from semiseg.study_report import report
from semiseg.study_report.report import StudyReport


@pytest.mark.parametrize("written", [True, False])
def test_the_reports_of_a_study_s_models_are_named_where_there_are_any(tmp_path, monkeypatch, written):
    model = tmp_path / "models" / "cps_2_s1"
    model.mkdir(parents=True)
    if written:
        (model / "report.html").touch()
    monkeypatch.setattr(run, "run_study", lambda *_, **__: StudyRun(tmp_path, (Status("cps_2_s1", 3, "done"),)))
    first, *more = CliRunner().invoke(app, ["study", "run", "study.yaml", "-q"]).stdout.splitlines()
    assert first == f"1 model has scores. Next: semiseg study report {tmp_path}"
    assert more == ([f"Report of each model: {tmp_path}/models/NAME/report.html"] if written else [])


def test_the_report_of_a_study_is_named(tmp_path, monkeypatch):
    made = StudyReport(tmp_path / "report.html", (), (), ("It helped.",))
    monkeypatch.setattr(report, "report_study", lambda *_, **__: made)
    said = CliRunner().invoke(app, ["study", "report", str(tmp_path), "-q"]).stdout
    assert said.splitlines() == ["It helped.", f"Report: {tmp_path}/report.html"]
