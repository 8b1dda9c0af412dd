"""The help of every command has an example."""

import pytest
import typer

from semiseg.cli.main import app


def commands(command, name):
    yield name, command
    for inner in getattr(command, "commands", {}).values():
        yield from commands(inner, f"{name} {inner.name}")


ALL = dict(commands(typer.main.get_command(app), "semiseg"))


def test_there_are_commands_within_commands():
    assert {"semiseg run", "semiseg study run", "semiseg plugins check", "semiseg cache prune"} <= ALL.keys()


@pytest.mark.parametrize("name", ALL)
def test_help_has_an_example(name):
    assert name == "semiseg" or "Example" in ALL[name].help
