"""Running an installed component through the contract suite of its kind, by pytest, in this process."""

import inspect
import io
import os
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from semiseg.errors import ComponentError
from semiseg.registry import Entry, Kind, make_options

SMALL_UNET: Mapping[str, Any] = {"channels": (4, 8), "strides": (2,), "num_res_units": 0}
"""Options of the ``unet`` that builds every network of a strategy."""
DECLARATIONS: Mapping[Kind, Mapping[str, str]] = {
    "acquisition": {"random_order": ""},
    "augmentation": {"deterministic": ""},
    "backbone": {"own_capabilities": "NAME"},
    "metric": {"uses_spacing": ""},
    "strategy": {"counts_epochs": "", "frozen": "ROLE"},
}
"""Declarations by kind that change a suite's expectations and cannot be detected: attributes of the suite's class.

The value names the elements of a set; empty for a flag.
"""
_LINES, _WIDTH = 8, 200


@dataclass(frozen=True)
class Subject:
    """Component under test: its class, its options as in a recipe, and attributes of its suite."""

    entry: Entry
    cls: Any
    values: Mapping[str, Any]
    declared: Mapping[str, bool | frozenset[str]] = field(default_factory=dict)

    def make(self) -> Any:
        """Return a new component with these options (for a strategy, its class is used, as it needs networks)."""
        return self.cls(make_options(self.cls, self.values))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check: its description, its status and, unless it passed, the reason."""

    check: str
    status: Literal["ok", "FAIL", "skip"]
    reason: str = ""


def run_contract(subject: Subject, heard: Callable[[Outcome], None]) -> list[Outcome]:
    """Run the suite of the component's kind; ``heard`` receives each outcome immediately.

    Pytest settings and plugins of the caller's project, and pytest's output, are suppressed. Raises ComponentError if
    the suite itself cannot run.
    """
    listener = _Listener(subject, heard)
    arguments = [
        "-c",
        os.devnull,
        "--rootdir",
        os.fspath(Path.cwd()),
        "-p",
        "no:cacheprovider",
        "-p",
        "no:faulthandler",
    ]
    suite = f"semiseg.testing.installed::Test{subject.entry.kind.capitalize()}"
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
            patch.delenv(name, raising=False)
        code = pytest.main([*arguments, "--pyargs", suite], plugins=[listener])
    if code == pytest.ExitCode.INTERRUPTED and not said.getvalue().count("ERROR"):
        raise KeyboardInterrupt
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise ComponentError(f"The {subject.entry.kind} checks could not run:\n{said.getvalue().strip()}")
    return listener.outcomes


class _Listener:
    """A pytest plugin that provides the suite's subject and reports the outcome of each check."""

    def __init__(self, subject: Subject, heard: Callable[[Outcome], None]) -> None:
        self._subject, self._heard, self._out = subject, heard, (sys.stdout, sys.stderr)
        self.outcomes: list[Outcome] = []

    @pytest.fixture
    def subject(self) -> Subject:
        """Return the component under test."""
        return self._subject

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        """Leave out checks with a number of spatial axes that the component does not declare."""
        declared = getattr(self._subject.cls, "spatial_dims", frozenset[int]())
        items[:] = [item for item in items if _spatial_dims(item) in (None, *declared)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Function, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Report a check that has ended or could not start."""
        report = yield
        if report.when == "call" or not report.passed:
            self._tell(_outcome(item, call, report, self._subject.cls))
        return report

    def _tell(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        with redirect_stdout(self._out[0]), redirect_stderr(self._out[1]):
            self._heard(outcome)


def _outcome(item: pytest.Function, call: pytest.CallInfo[None], report: pytest.TestReport, cls: type) -> Outcome:
    check = _in_words(item)
    if report.passed or call.excinfo is None:
        return Outcome(check, "ok")
    if report.skipped:
        return Outcome(check, "skip", str(call.excinfo.value))
    lines = [line for line in call.excinfo.exconly(tryshort=True).splitlines() if line.strip()]
    shown = [line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "..." for line in lines[:_LINES]]
    return Outcome(check, "FAIL", "\n".join([*shown, f"at {_place(call.excinfo, cls)}"]))


def _spatial_dims(item: pytest.Function) -> int | None:
    """Return the number of spatial axes of a check's images; None for a check that has no such parameter."""
    parameters: Mapping[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
    return parameters.get("spatial_dims")


def _in_words(item: pytest.Function) -> str:
    """Return a test's name as a sentence, its parameters, and the first line of its docstring."""
    name = item.originalname.removeprefix("test_").replace("_", " ")
    parameters = item.name.removeprefix(item.originalname)
    about = (inspect.getdoc(item.function) or "").partition("\n")[0].replace("``", "`").replace(r"\*", "*")
    return f"{name.capitalize()}{' ' if parameters else ''}{parameters}. {about}".rstrip()


def _place(excinfo: pytest.ExceptionInfo[BaseException], cls: type) -> str:
    """Return the line that failed in the component's package or, if none of it was running, in the check."""
    package = Path(inspect.getfile(cls)).parent
    entries = [(Path(entry.path), entry.lineno + 1) for entry in excinfo.traceback]
    own = [entry for entry in entries if package in entry[0].parents]
    suite = [entry for entry in entries if Path(__file__).parents[1] / "testing" in entry[0].parents]
    path, line = (own or suite or entries)[-1]
    return f"{path}:{line}"
