"""The command ``semiseg``: its subcommands, and the display of errors."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from semiseg.cli import cache, export, recipes
from semiseg.cli.annotation.adopt import adopt
from semiseg.cli.annotation.suggest import suggest
from semiseg.cli.bench import bench
from semiseg.cli.check import check
from semiseg.cli.compare import compare
from semiseg.cli.evaluate import evaluate
from semiseg.cli.init import init
from semiseg.cli.new import new
from semiseg.cli.plugins import commands as plugins
from semiseg.cli.predict import predict
from semiseg.cli.run import run
from semiseg.cli.schema import schema
from semiseg.cli.select import select
from semiseg.cli.study import commands as study
from semiseg.errors import ComponentError, Interrupted, SemisegError
from semiseg.openmp import sleep_while_waiting
from semiseg.platforms import require_platform


class _Commands(TyperGroup):
    """All commands. Ctrl-C is handled here, since Typer would exit without a message."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command and return its result."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("Stopped by Ctrl-C.", file=sys.stderr)
            sys.exit(130)


app = typer.Typer(
    name="semiseg",
    cls=_Commands,
    help="Train 2D and 3D segmentation networks on a few annotated scans and many unannotated ones."
    "\n\nFirst steps:  semiseg run quickstart  ·  semiseg init FOLDER  ·  semiseg recipes  ·  semiseg plugins",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(check)
app.command()(bench)
app.command()(predict)
app.command()(evaluate)
app.command()(compare)
app.command()(select)
app.command()(suggest)
app.command()(adopt)
app.command()(init)
app.command()(new)
app.add_typer(export.app, name="export")
app.add_typer(study.app, name="study")
app.add_typer(recipes.app, name="recipes")
app.add_typer(plugins.app, name="plugins")
app.add_typer(cache.app, name="cache")
app.command()(schema)


def _show_version(value: bool) -> None:
    if value:
        from semiseg import __version__

        typer.echo(f"semiseg {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    pass


def main() -> None:
    """Run the command line; input errors are shown without a traceback and set the exit code.

    1 unknown, 2 recipe or component, 3 data, 4 run folder or disk, 5 training, 130 Ctrl-C, 143 SIGTERM, 138 SIGUSR1.
    """
    sleep_while_waiting()  # no command has imported torch yet
    try:
        require_platform()
        app()
    except SemisegError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(128 + error.signum if isinstance(error, Interrupted) else error.exit_code)
    except ModuleNotFoundError as error:
        from semiseg.registry import incomplete, pip_install

        lacking = incomplete()
        if not lacking:
            raise
        told = "; ".join(f"package {package} requires {', '.join(names)}" for package, names in lacking.items())
        names = [name for required in lacking.values() for name in required]
        what = f"{error}. Not installed although required: {told}."
        print(f"Error: {ComponentError(what, f'Install it: {pip_install(names)}')}", file=sys.stderr)
        sys.exit(ComponentError.exit_code)


if __name__ == "__main__":
    main()
