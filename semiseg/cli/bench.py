"""``semiseg bench``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli.run import Overrides


def bench(
    recipe: Annotated[Path, typer.Argument(help="Recipe file, or the name of a shipped recipe.")],
    overrides: Overrides = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Number of steps to time.")] = 10,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the results as JSON.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only the result and errors.")] = False,
) -> None:
    """Time each stage of a run on your data and machine; estimate the hours of the full recipe and what to change.

    Example: semiseg bench brats_cps --set dataset.root=/data/BraTS2021 -o bench.json
    """
    from semiseg.bench.bench import bench as bench_recipe
    from semiseg.cli.console import make_reporter
    from semiseg.io.atomic import require_file, write_json

    if output is not None:
        require_file(output)
    result = bench_recipe(recipe, overrides=overrides or [], steps=steps, reporter=make_reporter(quiet))
    _show(result)
    if output is not None:
        write_json(output, result.as_dict())
        typer.echo(f"Wrote {output}")


def _show(result: object) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from semiseg.bench.result import BEHIND, TITLES, BenchResult, duration

    assert isinstance(result, BenchResult)
    console = Console()
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("stage")
    for title in ("each", "count", "total", "share"):
        table.add_column(title, justify="right", no_wrap=True)
    for stage in result.stages:
        if stage.name in BEHIND:
            shown = ("done" if stage.name == "prepare" else "", "")
        else:
            shown = (duration(stage.total), f"{stage.total / result.total():.0%}")
        title = TITLES[stage.name]
        if stage.name == "step" and not result.total("augment"):
            title = f"{title}, augmentation"
        table.add_row(title, duration(stage.seconds), str(stage.count), *shown)
    console.print(table)
    for line in _lines(result):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(result: object) -> list[str]:
    from semiseg.bench.result import BenchResult, duration

    assert isinstance(result, BenchResult)
    machine = result.machine
    parts = [(name, hours * 3600) for name, hours in result.hours.items() if name != "total"]
    said = ", ".join(f"{duration(seconds)} {name}" for name, seconds in parts if seconds)
    peak = f"{machine.peak / 2**30:.1f} GiB"
    # CPU tensors are not tracked, so on a CPU this is the peak memory of the process.
    memory = f"step memory {peak} of {machine.room / 2**30:.1f}" if machine.has_gpu else f"process memory {peak}"
    return [
        f"{machine.device}, cores: {machine.cores}, workers: {machine.workers}, precision: {machine.precision},"
        f" step mode: {machine.step_mode}, {memory}",
        f"The full recipe would take about {duration(result.total())}: {said}.",
        f"Steps wait for data {result.wait_share:.0%} of the training time.",
        "Suggestions:",
        *(f"- {text}" for text in result.suggestions),
    ]
