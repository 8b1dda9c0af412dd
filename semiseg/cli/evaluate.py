"""``semiseg evaluate``."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from semiseg.scoring.evaluate import Evaluation

_NAMED = 10
"""Number of files without a counterpart that are named."""


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted label files, or one file.")],
    references: Annotated[Path, typer.Argument(help="Folder of reference label files, matched by case id, or a file.")],
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE=NAME,…",
            help="Names of the stored values. Values with the same name are one class (3=enhancing,4=enhancing); "
            "255=background makes 255 background, and other=background all values not listed; 255=ignore leaves "
            "out the voxels with 255 in the reference. "
            "By default every value in the references is a class, named by its number.",
        ),
    ] = None,
    regions: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=CLASS+CLASS,…",
            help="Unions of classes to score in addition (tumor core=necrosis+enhancing,whole tumor=…).",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:OPTION=VALUE,…]",
            help="Metric to compute; by default dice and hd95. `semiseg plugins` lists all. Repeatable. "
            "Example: --metric nsd:tolerance=2.",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Score exactly like another tool, including empty masks: monai, medpy or brats2023."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for scores.csv and summary.json.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="Value of a distance in means if a structure is missed or spurious: image_diagonal (default) or "
            "exclude."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Cases to score in parallel; by default one per core.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only the result and errors.")] = False,
) -> None:
    """Score predictions against references, by class, region and case.

    Files are named CASE.nii.gz (nnU-Net, Decathlon) or CASE_seg.nii.gz (BraTS), or are in one folder per case.
    They are NIfTI, NRRD (also .seg.nrrd, by the names of segments) or MetaImage; pictures (PNG, TIFF) are read if there
    are none of these.

    Example: semiseg evaluate predictions/ labels/ --labels 1=necrosis,2=edema,3=enhancing -o scores/
    """
    from semiseg.cli.console import make_reporter
    from semiseg.io.atomic import require_file
    from semiseg.scoring.evaluate import evaluate as evaluate_folders
    from semiseg.scoring.labels import parse_labels
    from semiseg.scoring.metric_choice import parse_regions
    from semiseg.scoring.policy import find_policy
    from semiseg.scoring.presets import find_preset

    named = None if labels is None else parse_labels(labels)
    unions = None if regions is None else parse_regions(regions)
    if preset is not None:
        find_preset(preset)
    if policy is not None:
        find_policy(policy)
    if output is not None:
        require_file(output / "scores.csv")
    evaluation = evaluate_folders(
        predictions,
        references,
        labels=named,
        regions=unions,
        output=output,
        metrics=metric,
        preset=preset,
        policy=policy,
        workers=workers,
        reporter=make_reporter(quiet),
    )
    _show(evaluation, output, predictions / "quality.csv")


def _show(evaluation: "Evaluation", output: Path | None, expected: Path) -> None:
    from rich.console import Console

    from semiseg.scoring.show import summary_table, worst_table

    console = Console()
    console.print(summary_table(evaluation.summary))
    console.print(worst_table(evaluation.summary))
    if expected.exists():
        _show_expected(evaluation, expected, console)
    lines = list(_unmatched("reference", evaluation.unmatched_predictions))
    lines += _unmatched("prediction", evaluation.unmatched_references)
    if output is not None:
        lines.append(f"Wrote {output / 'scores.csv'} and {output / 'summary.json'}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _unmatched(lacking: str, paths: Sequence[Path]) -> Iterator[str]:
    """Yield a line for each file without a counterpart, the first ones of many; summary.json has all."""
    for path in paths[:_NAMED]:
        yield f"No {lacking} for {path}: not scored."
    if len(paths) > _NAMED:
        yield f"No {lacking} for {len(paths) - _NAMED} more: not scored."


def _show_expected(evaluation: "Evaluation", path: Path, console: "Console") -> None:
    """Show how the expected Dice of predictions compares with the true one."""
    from semiseg.errors import RunError
    from semiseg.quality.expected import read_quality
    from semiseg.quality.held_out import compare, held_out
    from semiseg.quality.show import held_out_table

    try:
        rows = read_quality(path)
    except RunError as error:
        console.print(f"Note: {path}: {error.problems[0].what}.", markup=False, highlight=False, soft_wrap=True)
        return
    figures = held_out(compare(rows, evaluation.scores))
    if figures:
        console.print(held_out_table(figures))
        return
    names = ", ".join(dict.fromkeys(row.structure for row in rows))
    said = f"Note: {path} has the expected Dice of {names}: compared with dice, if --labels names the classes so."
    console.print(said, markup=False, highlight=False, soft_wrap=True)
