"""What the command line and the package import before they are asked for anything."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "monai", "torchio", "lightning_fabric")


def loaded(code):
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["--version"],
        ["plugins"],
        ["recipes"],
        ["recipes", "show", "quickstart"],
        ["evaluate", "--help"],
        ["compare", "--help"],
        ["predict", "--help"],
    ],
    ids=" ".join,
)
def test_commands_that_only_tell_import_nothing_heavy(arguments):
    modules = loaded(f"from semiseg.cli.main import app; app({arguments!r})")
    assert "semiseg.cli.main" in modules
    assert modules.isdisjoint(HEAVY)


def test_help_needs_no_numpy_either():
    assert "numpy" not in loaded("from semiseg.cli.main import app; app(['--help'])")


def test_importing_semiseg_is_light():
    assert loaded("import semiseg; semiseg.__version__").isdisjoint({*HEAVY, "numpy", "pydantic"})


def test_evaluation_runs_without_torch():
    assert loaded("from semiseg import evaluate").isdisjoint(HEAVY)


def test_every_public_name_is_there():
    code = "import semiseg; [getattr(semiseg, name) for name in semiseg.__all__]"
    assert "torch" in loaded(code)
