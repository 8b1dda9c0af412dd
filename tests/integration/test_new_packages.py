"""``semiseg new``: what it writes works untouched, for every kind of component."""

import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers_suite import forked
from typer.testing import CliRunner

from semiseg.cli.main import app
from semiseg.errors import ComponentError
from semiseg.registry import GROUPS
from semiseg.scaffold.package import class_name, render, write_package

KINDS = list(GROUPS)
LONG = "considerably_longer_name"


def semiseg(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def install(distribution, folder):
    """As ``pip install`` would: the sources, and the metadata that pyproject.toml asks for; the folder of both."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    sources = {str(path.relative_to(folder / "src")): path.read_text() for path in folder.glob("src/*/*.py")}
    return distribution(project["name"], project["entry-points"], project["version"], sources, project["dependencies"])


@pytest.fixture
def package(distribution, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMISEG_CACHE", str(tmp_path / "cache"))

    def make(kind):
        folder = tmp_path / f"new-{kind}"
        write_package(kind, f"my_{kind}", folder)
        install(distribution, folder)
        monkeypatch.chdir(folder)
        if kind == "dataset":
            subprocess.run([sys.executable, "tests/tiny_data.py", "data"], check=True)
        return folder

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_is_listed_passes_its_checks_and_has_a_valid_recipe(package, kind):
    package(kind)
    settings = ["--set", "root=data"] if kind == "dataset" else []
    listed = semiseg("plugins")
    checked = semiseg("plugins", "check", f"my_{kind}", *settings)
    checking = ["study", "plan"] if kind == "launcher" else ["check"]
    recipe = semiseg(*checking, f"recipes/my_{kind}.yaml")

    assert f"my_{kind}" in listed.stdout
    assert checked.exit_code == 0, checked.stdout
    assert checked.stdout.startswith(f"{kind} my_{kind} (semiseg-my-{kind} 0.1.0)\n")
    assert "FAIL" not in checked.stdout
    assert recipe.exit_code == 0, recipe.exception
    assert ("2 models: 2 supervised." if kind == "launcher" else "No problems found.") in recipe.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_passes_its_own_tests(distribution, tmp_path, kind):
    said = own_tests(distribution, tmp_path, kind, "-k", "not two_processes")

    passed = [line for line in said.splitlines() if " PASSED " in line]
    assert any(f"test_my_{kind}.py::Test" in line for line in passed), "no contract test has run"
    assert any(f"test_my_{kind}.py::test_" in line for line in passed), "no test by hand has run"


def test_a_new_strategy_trains_in_two_processes_as_in_one(distribution, tmp_path):
    said = own_tests(distribution, tmp_path, "strategy", "-k", "two_processes")

    assert re.search(r"test_two_processes_train_as_one\S* PASSED", said)


def own_tests(distribution, tmp_path, kind, *options):
    folder = tmp_path / f"new-{kind}"
    write_package(kind, f"my_{kind}", folder)
    site = install(distribution, folder)
    done = forked("-vv", *options, folder, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def test_the_recipe_of_a_new_strategy_trains(package):
    folder = package("strategy")
    small = ["dataset.cases=7", "dataset.size=[32,32,32]", "training.epochs=2", "training.examples_per_epoch=8"]
    small += ["training.workers=0", "training.patch_size=[16,16,16]", "split.test=1"]
    changes = [part for change in small for part in ("--set", change)]
    done = semiseg("run", "recipes/my_strategy.yaml", "--quiet", *changes)

    assert done.exit_code == 0, done.exception
    assert '"entropy"' in (folder / "runs/my_strategy/log.jsonl").read_text()


@pytest.mark.skipif(find_spec("ruff") is None, reason="ruff is not installed")
@pytest.mark.parametrize("name", ["x", LONG])
def test_ruff_finds_nothing(tmp_path, name):
    for kind in KINDS:
        write_package(kind, name, tmp_path / kind, author='Ada "Countess" Lovelace')
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, tmp_path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_open_but_what_the_author_has_to_say(kind):
    files = dict(render(kind, "x", author='Ada "Countess" Lovelace'))
    project = tomllib.loads(files[Path("pyproject.toml")])["project"]

    assert not [path for path, text in files.items() if "$" in text]
    assert [path for path, text in files.items() if "FILL IN" in text] == [Path(f"src/semiseg_x/{kind}.py")]
    assert project["authors"] == [{"name": 'Ada "Countess" Lovelace'}]
    assert "authors" not in dict(render(kind, "x"))[Path("pyproject.toml")]
    assert Path("LICENSE") not in files
    assert "There is no LICENSE file" in files[Path("README.md")]


def test_a_class_does_not_take_a_name_that_its_module_needs():
    assert class_name("strategy", "mean_teacher") == "MeanTeacher"
    assert class_name("strategy", "strategy") == "StrategyStrategy"
    assert class_name("metric", "mask_pair") == "MaskPairMetric"
    assert class_name("backbone", "none") == "NoneBackbone"
    assert class_name("dataset", "exception") == "ExceptionDataset"


def test_the_default_folder_is_named_after_the_component(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = semiseg("new", "metric", "my_metric")

    assert (tmp_path / "semiseg-my-metric/src/semiseg_my_metric/metric.py").is_file()
    assert "  src/semiseg_my_metric/metric.py\n" in done.stdout
    assert done.stdout.endswith("  semiseg plugins check my_metric\n  semiseg run recipes/my_metric.yaml\n")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("my-method", "my_method"), ("MyMethod", "my_method"), ("a__b", "a_b"), ("3d", ""), ("_x", "x"), ("", "")],
)
def test_a_name_that_cannot_be_one_is_refused_with_the_nearest_that_can(tmp_path, name, nearest):
    with pytest.raises(ComponentError) as raised:
        write_package("metric", name, tmp_path / "new")

    assert f"{name!r} is not a valid component name." in str(raised.value)
    assert ("For example" in str(raised.value)) == bool(nearest)
    assert f"For example: {nearest!r}." in str(raised.value) or not nearest
    assert not (tmp_path / "new").exists()


def test_a_word_that_yaml_takes_for_something_else_is_refused(tmp_path):
    with pytest.raises(ComponentError, match="in YAML it is not text"):
        write_package("metric", "null", tmp_path / "new")


def test_a_name_that_is_taken_and_a_folder_that_is_full_are_both_told(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    done = semiseg("new", "metric", "dice", "--output", tmp_path)

    assert isinstance(done.exception, ComponentError)
    assert str(done.exception).startswith("2 problems:\n1. A metric 'dice' is already installed, from semiseg ")
    assert f"2. {tmp_path} already exists." in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_written_to_and_an_unknown_kind_is_not_guessed(tmp_path):
    assert semiseg("new", "metric", "other", "-o", tmp_path).exit_code == 0
    assert (tmp_path / "pyproject.toml").is_file()
    assert str(semiseg("new", "metrics", "other").exception).startswith(
        "Unknown kind 'metrics'. Did you mean 'metric'?"
    )
