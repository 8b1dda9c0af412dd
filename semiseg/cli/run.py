"""``semiseg run``."""

import os
from pathlib import Path
from typing import Annotated

import typer

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: --set training.epochs=10. Repeatable."),
]

Observe = Annotated[
    list[str] | None,
    typer.Option(
        "--observe",
        metavar="NAME[:OPTION=VALUE,…]",
        help="Follow the run with an installed observer, such as tensorboard or mlflow. Repeatable.",
    ),
]


def run(
    recipe: Annotated[Path, typer.Argument(help="Recipe file, or the name of a shipped recipe.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder; by default runs/<recipe name>.")
    ] = None,
    overrides: Overrides = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the run in this folder, or start one if there is none.")
    ] = False,
    observe: Observe = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="The same as --observe tensorboard.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only the result and errors.")] = False,
) -> None:
    """Train, predict the test cases and score them.

    Example: semiseg run brats_cps --set dataset.root=/data/BraTS2021 -o runs/brats_cps
    """
    from semiseg.cli.console import make_reporter
    from semiseg.pipeline.run import run as run_recipe
    from semiseg.recipe.load import load_recipe
    from semiseg.runs.folder import RunFolder

    loaded = load_recipe(recipe, overrides or [])
    folder = output or Path("runs") / loaded.name
    reporter = make_reporter(quiet)
    if resume and not RunFolder(folder).recipe.exists() and os.environ.get("RANK", "0") == "0":  # of torchrun
        reporter.say(f"Note: no run to resume in {folder}; starting a new one.")
    result = run_recipe(
        loaded, folder, resume=resume, reporter=reporter, observers=observe or (), tensorboard=tensorboard
    )
    if os.environ.get("RANK", "0") == "0":
        _show(result, folder)


def _show(result: object, folder: Path) -> None:
    from rich.console import Console

    from semiseg.pipeline.run import RunResult
    from semiseg.runs.folder import RunFolder
    from semiseg.scoring.same_weights import sentence
    from semiseg.scoring.show import summary_table

    assert isinstance(result, RunResult)
    console, said = Console(), []
    if result.scores:
        console.print(summary_table(result.summary["scores"], result.summary.get("best_is_last", False)))
        said.append(sentence(result.summary))
    else:
        said.append("No test cases with labels: nothing was scored.")
    if RunFolder(folder).report.exists():
        said.append(f"Report: {folder / 'report.html'}")
    for line in filter(None, (*said, f"Run folder: {folder}")):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
