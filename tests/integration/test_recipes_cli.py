"""``semiseg recipes`` as a newcomer types it, and shipped recipes in every command that takes one."""

import re
import sys
from pathlib import Path

import pytest

from semiseg.cli.main import main

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def said(monkeypatch, capfdbinary, tmp_path):
    """The command line in an empty folder: exit code, and what is on both outputs."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["semiseg", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capfdbinary.readouterr())

    return run


def test_all_are_listed_one_a_line_with_purpose_and_data(said):
    code, out, _ = said("recipes")
    lines = out.decode().splitlines()

    assert code == 0
    assert lines[0].startswith("semiseg ")
    for recipe in RECIPES.glob("*.yaml"):
        assert sum(line.startswith(f"  {recipe.stem} ") for line in lines) == 1
    quickstart = next(line for line in lines if line.startswith("  quickstart "))
    assert "a first run: train, predict and score" in quickstart
    assert "; data: 40 synthetic heads" in quickstart
    assert "\x1b" not in out.decode()


def test_a_terminal_gets_a_table_with_the_same_names(said, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    text = re.sub(r"\x1b\[\d*m", "", said("recipes")[1].decode())

    assert all(recipe.stem in text for recipe in RECIPES.glob("*.yaml"))
    assert max(map(len, text.splitlines()[:-2])) <= 80


def test_showing_one_prints_its_bytes_and_nothing_else(said):
    code, out, err = said("recipes", "show", "hippocampus_study")

    assert (code, err) == (0, b"")
    assert out == (RECIPES / "hippocampus_study.yaml").read_bytes()


def test_an_unknown_one_is_a_problem_of_the_recipe(said):
    code, out, err = said("recipes", "show", "quikstart")

    assert (code, out) == (2, b"")
    assert err.startswith(b"Error: Unknown recipe 'quikstart'. Did you mean 'quickstart'?\n    Shipped recipes: ")


@pytest.mark.parametrize("command", ["run", "check", "bench"])
def test_every_command_that_takes_a_recipe_takes_a_name(said, command, monkeypatch):
    monkeypatch.delenv("BRATS_ROOT", raising=False)
    code, _, err = said(command, "brats_cps")

    assert code == 2
    assert b"dataset.root (brats_cps:" in err
    assert b"BRATS_ROOT, which is not set" in err


@pytest.mark.parametrize("command", ["plan", "run"])
def test_commands_of_studies_find_it_too_and_name_the_command_that_takes_it(said, command):
    code, _, err = said("study", command, "quickstart")

    assert code == 2
    assert err == b"Error: quickstart is the recipe of one run: it has no matrix.\n    semiseg run quickstart\n"
