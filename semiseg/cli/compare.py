"""``semiseg compare``."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]PATH…",
            help="Run folders, output folders of `semiseg evaluate`, or scores.csv files. Runs whose recipes differ "
            "only in the seed are one method; NAME=PATH sets the method's name.",
        ),
    ],
    baseline: Annotated[
        str | None, typer.Option(help="Method to compare the others with; by default the first.")
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="last or best; by default last, or the only one available.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Metric to compare; by default all that every method has. Repeatable.")
    ] = None,
    policy: Annotated[
        str,
        typer.Option(
            help="Value of a distance in means if a structure is missed or spurious: image_diagonal or exclude."
        ),
    ] = "image_diagonal",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for compare.json and compare.csv.")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show only the tables, without runs, notes and methods.")
    ] = False,
) -> None:
    """Compare methods on the same test cases: paired differences with intervals, tests and ranks.

    Inputs with different test cases, classes, references or metric definitions are refused; the differences are listed.

    Example: semiseg compare runs/supervised_s1 runs/supervised_s2 runs/cps_s1 runs/cps_s2 -o comparison/
    """
    from rich.console import Console

    from semiseg.comparison.compare import compare as compare_runs
    from semiseg.comparison.show import comparison_tables, explanation
    from semiseg.io.atomic import require_file
    from semiseg.scoring.policy import find_policy

    if checkpoint not in (None, "last", "best"):
        raise typer.BadParameter(f"{checkpoint!r} is not a checkpoint; choose last or best", param_hint="--checkpoint")
    find_policy(policy)
    if output is not None:
        require_file(output / "compare.json")
    comparison = compare_runs(
        runs, baseline=baseline, checkpoint=checkpoint, metrics=metric, policy=policy, output=output
    )
    console = Console()
    for table in comparison_tables(comparison):
        console.print(table)
    if not quiet:
        console.print(explanation(comparison))
    if output is not None:
        where = f"Wrote {output / 'compare.json'} and {output / 'compare.csv'}"
        console.print(where, markup=False, highlight=False, soft_wrap=True)
