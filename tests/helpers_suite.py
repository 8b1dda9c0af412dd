"""Tests that need a process of their own, in files that pytest does not find by itself."""

import os
import re
import subprocess
import sys

from helpers_processes import run

_OPTIONS = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=--strict-markers"]


def run_suite(file, *options, **environment):
    """Run a file of tests in a new Python; all of them have to pass, and none may be left out but by the options."""
    command = [sys.executable, "-m", "pytest", *_OPTIONS, *options, str(file)]
    done = subprocess.run(command, check=False, env=os.environ | environment, capture_output=True, text=True)
    _has_passed(done)


def run_suite_forked(file, *options):
    """The same in a process that has imported torch already, and is sooner there."""
    _has_passed(forked(file, *options))


def forked(*arguments, **environment):
    """pytest in a process that has imported torch already: what it said, and its exit code."""
    imported = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return run(*_OPTIONS, *imported, *arguments, program=__file__, check=False, **environment)


def _has_passed(done):
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed(, \d+ deselected)? in ", done.stdout, re.MULTILINE), done.stdout


if __name__ == "__main__":
    import pytest

    sys.exit(pytest.main(sys.argv[1:]))
