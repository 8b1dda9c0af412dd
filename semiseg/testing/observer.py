"""Contract tests of observers: subclass ``ObserverContract`` and provide an ``observer`` fixture.

Example::

    class TestMyTracker(ObserverContract):
        @pytest.fixture
        def observer(self) -> Callable[[], Observer]:
            return MyTracker
"""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.observer import ObservedRun, Observer

RECIPE: Mapping[str, Any] = {
    "name": "heart",
    "seed": 1,
    "dataset": {"name": "folder", "root": "/data/heart", "classes": {"left ventricle": 1}},
    "training": {"patch_size": [64, 64], "optimizer": {"name": "adamw", "lr": 0.003}, "step": None},
}
VALUES = {"train/loss": 0.5, "lr": 0.003, "validation/loss": 0.4, "validation/dice/left ventricle": 0.6}
SCORES = {"test/last/dice/left ventricle": 0.7, "test/last/hd95/left ventricle": 3.5}
Make = Callable[[], Observer]


def make_run(folder: Path, resumed: bool = False) -> ObservedRun:
    """Return a run in a folder, with the files that a run leaves."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("recipe.yaml", "scores.csv"):
        (folder / name).write_text("content\n", encoding="utf-8")
    return ObservedRun("heart", folder, copy.deepcopy(dict(RECIPE)), resumed)


class ObserverContract:
    """Contract of every observer. The fixture ``observer`` returns a function that makes one, as each process does."""

    def test_a_run_from_its_beginning_to_its_end(self, observer: Make, tmp_path: Path) -> None:
        """Curves of several epochs, some without validation; then scores, with files of the run folder."""
        one, run = observer(), make_run(tmp_path / "run")
        one.begin(run)
        for step in (10, 20, 30):
            one.record(step, VALUES if step != 20 else {"train/loss": 0.4, "lr": 0.002})
        one.end(SCORES, sorted(run.folder.glob("*.*")))

    def test_a_run_that_fails_and_is_resumed_by_another_process(self, observer: Make, tmp_path: Path) -> None:
        """The second process repeats a step that the first one recorded, as after a kill; then the run ends."""
        first, second = observer(), observer()
        first.begin(make_run(tmp_path / "run"))
        first.record(10, VALUES)
        first.record(20, VALUES)
        first.fail("interrupted")
        second.begin(make_run(tmp_path / "run", resumed=True))
        second.record(20, VALUES)
        second.record(30, VALUES)
        second.end(SCORES, [])

    def test_a_killed_run_is_resumed(self, observer: Make, tmp_path: Path) -> None:
        """The first process ends without a word."""
        first, second = observer(), observer()
        first.begin(make_run(tmp_path / "run"))
        first.record(10, VALUES)
        second.begin(make_run(tmp_path / "run", resumed=True))
        second.record(10, VALUES)
        second.end(SCORES, [])

    def test_a_run_that_is_resumed_but_was_not_observed_before(self, observer: Make, tmp_path: Path) -> None:
        """The observer was not named when the run began."""
        one = observer()
        one.begin(make_run(tmp_path / "run", resumed=True))
        one.record(20, VALUES)
        one.end({}, [])

    def test_runs_that_end_before_anything_was_recorded(self, observer: Make, tmp_path: Path) -> None:
        """One ends, as after another postprocessing; one fails."""
        for name in ("ended", "failed"):
            one = observer()
            one.begin(make_run(tmp_path / name))
            if name == "ended":
                one.end(SCORES, [])
            else:
                one.fail("no memory")

    def test_the_recipe_is_not_changed(self, observer: Make, tmp_path: Path) -> None:
        """It is the run's own."""
        one, run = observer(), make_run(tmp_path / "run")
        one.begin(run)
        one.end({}, [])
        assert run.recipe == RECIPE

    def test_options_are_validated(self, observer: Make) -> None:
        """An unknown option is refused, before anything is observed."""
        options = type(observer()).Options
        assert issubclass(options, ComponentOptions)
        with pytest.raises(ValidationError):
            options.model_validate({"no_such_option_of_any_observer": 1})
