"""``semiseg adopt``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli.run import Overrides


def _minutes(given: Sequence[str]) -> dict[str, float]:
    found = {}
    for text in given:
        case, equals, value = text.rpartition("=")
        try:
            found[case] = float(value)
        except ValueError:
            equals = ""
        if not (case and equals):
            raise typer.BadParameter(f"{text!r} is not CASE=MINUTES.")
    return found


def adopt(
    suggestion: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that semiseg suggest wrote.")],
    recipe: Annotated[Path, typer.Argument(help="Recipe of its run: RUN/recipe.yaml, or another recipe.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The next recipe, a new NAME.yaml.")],
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="FOLDER|dataset",
            help="Folder of the finished labels, by default DIR/labels; dataset: those that the dataset has itself.",
        ),
    ] = None,
    minutes: Annotated[
        list[str] | None,
        typer.Option("--minutes", metavar="CASE=MINUTES", help="How long a case took, for the history. Repeatable."),
    ] = None,
    overrides: Overrides = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only the result and errors.")] = False,
) -> None:
    """Take finished labels of suggested cases into the training data, and write the next recipe.

    It has the same validation and test cases and starts from the run's weights. The labels are copied into the folder
    NAME_labels beside it, which also keeps the history (rounds.json). Cases without a finished label stay unlabeled.

    Example: semiseg adopt round_1/ runs/brats_cps/recipe.yaml -o round_2.yaml --minutes BraTS_017=25
    """
    from semiseg.cli.console import make_reporter
    from semiseg.suggestion.adopt import adopt as adopt_labels

    found = adopt_labels(
        suggestion,
        recipe,
        output,
        labels=labels,
        minutes=_minutes(minutes or []),
        overrides=overrides or [],
        reporter=make_reporter(quiet),
    )
    typer.echo(repr(found))
