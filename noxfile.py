"""Environments with the lowest versions that pyproject.toml admits, and with the newest.

uv resolves them (the extra ``dev`` has it). ``SEMISEG_TORCH`` is the requirement for torch, whose builds for CUDA are
gigabytes; uv takes other builds from an index or folder of wheels:

    UV_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu nox -s lowest newest
    UV_FIND_LINKS=/folder/of/wheels SEMISEG_TORCH='torch==2.13.0+cpu' nox -s lowest -- tests/unit/io

With a version in ``SEMISEG_TORCH``, ``lowest`` has the lowest versions of everything but torch. Paths and options after
``--`` replace the unit and contract tests that are not slow.
"""

import os
from collections.abc import Sequence

import nox

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lowest", "newest"]
TESTS = ("tests/unit", "tests/contract", "-m", "not slow", "-n", "1")
OLD = ("-W", "default::DeprecationWarning")  # old releases use what the newest of their own dependencies deprecate


@nox.session
def lowest(session: nox.Session) -> None:
    """Run tests with the lowest declared versions of the direct dependencies."""
    _run(session, ["--resolution", "lowest-direct"], OLD)


@nox.session
def newest(session: nox.Session) -> None:
    """Run tests with the newest versions of all dependencies."""
    _run(session, ["--upgrade"])


def _run(session: nox.Session, resolution: Sequence[str], warnings: Sequence[str] = ()) -> None:
    session.install(*resolution, os.environ.get("SEMISEG_TORCH", "torch"), "-e", ".[test]")
    session.run("uv", "pip", "freeze", external=True)
    session.run("pytest", "-q", *warnings, *(session.posargs or TESTS))
