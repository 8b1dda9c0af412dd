"""``semiseg new``."""

from pathlib import Path
from typing import Annotated

import typer


def new(
    kind: Annotated[
        str,
        typer.Argument(help="strategy, backbone, dataset, metric, augmentation, launcher, acquisition or observer."),
    ],
    name: Annotated[str, typer.Argument(help="Its name in recipes, such as mean_teacher.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="New or empty folder; by default ./semiseg-NAME.")
    ] = None,
    author: Annotated[str, typer.Option(help="Your name, for pyproject.toml.")] = "",
) -> None:
    """Write a package with a small working component, its tests, a recipe and the entry point.

    Example: semiseg new strategy my_method · cd semiseg-my-method · pip install -e . · pytest
    """
    from semiseg.cli.components import kind_named
    from semiseg.scaffold.content import CONTENT
    from semiseg.scaffold.package import write_package

    chosen = kind_named(kind)
    folder = output or Path(f"semiseg-{name.replace('_', '-')}")
    for path in write_package(chosen, name, folder, author):
        typer.echo(f"  {path}")
    steps = f"cd {folder}\npip install -e '.[test]'\npytest\n{CONTENT[chosen].prepare}semiseg plugins check {name}"
    steps += f"{CONTENT[chosen].check_options}\n{CONTENT[chosen].run.format(name=name)}"
    typer.echo(f"\nWrote {folder} with an example to replace: {CONTENT[chosen].example}.")
    typer.echo("README.md describes each file. Add a license of your choice. Next steps:")
    typer.echo("\n".join(f"  {step}" for step in steps.splitlines()))
