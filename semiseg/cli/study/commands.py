"""``semiseg study``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli.run import Observe, Overrides

app = typer.Typer(
    help="Plan, run and report a study: many models from one recipe.\n\n"
    "Example: semiseg study run hippocampus_study --jobs 2",
    no_args_is_help=True,
)
Recipe = Annotated[Path, typer.Argument(help="Study recipe (a base and a matrix): file, or name of a shipped one.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show only the result and errors.")]


@app.command()
def plan(
    recipe: Recipe,
    overrides: Overrides = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Time a step of each kind of model on this machine.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """List the models of a study with their cases, steps and memory; with --measure, the hours on this machine.

    The data are not needed.

    Example: semiseg study plan brats_study
    """
    from rich.console import Console

    from semiseg.cli.console import make_reporter
    from semiseg.cli.study.plan import show_plan
    from semiseg.study.forecast import forecasts
    from semiseg.study.load import load_study

    study, reporter = load_study(recipe, overrides or [], expand=False), make_reporter(quiet)
    for note in study.notes:
        reporter.say(f"Note: {note}.")
    with reporter.work("planning models", len(study.models), unit="model") as meter:
        found = forecasts(study.models, measure=measure, progress=meter.advance)
    show_plan(study, found, Console())


@app.command()
def run(
    recipe: Recipe,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Study folder; by default runs/<study name>.")
    ] = None,
    overrides: Overrides = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Models to train at once; by default one per GPU, or 1.")
    ] = None,
    launcher: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="local: processes on this machine; slurm: one job per model (extra slurm); or a plugin's.",
        ),
    ] = "local",
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Run only these models: a name or a pattern such as 'cps_*_s1'. Repeatable."),
    ] = None,
    observe: Observe = None,
    quiet: Quiet = False,
) -> None:
    """Train and score every model that has no scores yet. Run the same command again to resume.

    Example: semiseg study run brats_study --set dataset.root=/data/BraTS2021 --jobs 4 -o runs/brats_study
    """
    from semiseg.cli.console import make_reporter
    from semiseg.cli.study.show import watching
    from semiseg.messages import counted
    from semiseg.study.run import run_study

    with watching(quiet) as watch:
        result = run_study(
            recipe,
            output,
            overrides=overrides or [],
            only=only or [],
            jobs=jobs,
            launcher=launcher,
            observers=observe or (),
            reporter=make_reporter(quiet),
            watch=watch,
        )
    one = len(result.models) == 1
    count = f"{'' if only or one else 'All '}{counted(len(result.models), 'model')} {'has' if one else 'have'}"
    typer.echo(f"{count} scores. Next: semiseg study report {result.folder}")
    if any(result.folder.glob("models/*/report.html")):
        typer.echo(f"Report of each model: {result.folder / 'models' / 'NAME' / 'report.html'}")


@app.command()
def report(
    study: Annotated[Path, typer.Argument(help="Study folder.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Report folder; by default STUDY/report.")
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="Checkpoint to report: last or best; by default the study recipe's.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write tables, figures and a single page with everything, report.html, for the models that have scores.

    Example: semiseg study report runs/brats_study
    """
    from rich.console import Console

    from semiseg.cli.console import make_reporter
    from semiseg.study_report.report import report_study

    if checkpoint not in (None, "last", "best"):
        raise typer.BadParameter(f"{checkpoint!r} is not a checkpoint; choose last or best", param_hint="--checkpoint")
    result = report_study(study, output, checkpoint=checkpoint, reporter=make_reporter(quiet))
    console = Console()
    for line in result.summary:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"Report: {result.page}", markup=False, highlight=False, soft_wrap=True)
