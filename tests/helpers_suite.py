"""Tests that need a process of their own, in files that pytest does not find by itself."""

import os
import re
import subprocess
import sys


def run_suite(file, *options, **environment):
    """Run a file of tests; all of them have to pass, and none may be left out but by the options."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(file)]
    done = subprocess.run(command, check=False, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed(, \d+ deselected)? in ", done.stdout, re.MULTILINE), done.stdout
