import io

import pytest

from semiseg.cli import console
from semiseg.cli.console import PlainReporter, RichReporter, figures, make_reporter
from semiseg.progress import Reporter, duration


def test_plain_lines_say_what_was_done(capsys):
    with PlainReporter().work("training", 10, done=4, unit="step") as meter:
        meter.at(7, {"epoch": "1/2", "loss": 0.41239})
        meter.advance(3, {"epoch": "2/2", "loss": 0.3})
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["training: 10 of 10 steps  epoch 2/2  loss 0.300  done in 0 s"]


def test_plain_lines_come_now_and_then_with_the_time_left(capsys, monkeypatch):
    clock = iter([0.0, 0.0, 40.0, 45.0, 60.0, 60.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with PlainReporter().work("reading cases", 6) as meter:
        meter.at(2)
        meter.at(3)
    first, last = capsys.readouterr().err.splitlines()
    assert first == "reading cases: 2 of 6  about 1 min 20 s left"
    assert last.startswith("reading cases: 3 of 6")


def test_a_failed_piece_of_work_is_not_called_done(capsys):
    with pytest.raises(ValueError, match="x"), PlainReporter().work("scoring", 2):
        raise ValueError("x")
    assert "done" not in capsys.readouterr().err


def test_rich_shows_a_bar():
    reporter = RichReporter()
    reporter.console.file = io.StringIO()
    reporter.console.width = 120
    with reporter.work("training", 4, unit="step") as meter:
        meter.at(4, {"loss": 0.5})
    assert "training" in reporter.console.file.getvalue()
    assert "4/4" in reporter.console.file.getvalue()


def test_quiet_is_silent():
    assert type(make_reporter(quiet=True)) is Reporter


def test_durations():
    assert figures(None) == ""
    assert [duration(s) for s in (5, 65, 3700)] == ["5 s", "1 min 05 s", "1 h 01 min"]
