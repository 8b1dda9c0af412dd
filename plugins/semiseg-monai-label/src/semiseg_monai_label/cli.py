"""``semiseg-monai-label``: prepares the folder of an app and starts MONAI Label's server with it."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

import semiseg
from semiseg.errors import ComponentError, RunError
from semiseg.progress import Reporter
from semiseg_monai_label.rounds import Rounds
from semiseg_monai_label.settings import Settings, model_record, new_app


class _Lines(Reporter):
    """Reports to standard error."""

    def say(self, text: str) -> None:
        """Print one line."""
        print(text, file=sys.stderr)


def serve(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folder with trained weights; several predict together.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder of the app, or that of the same call.")],
    by: Annotated[str, typer.Option("--by", metavar="RULE", help="The rule whose cases are ready at the start.")],
    images: Annotated[
        Path | None,
        typer.Option("--images", "-i", help="Folder of new images; by default the runs' own unlabeled cases."),
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Number of patients that a rule chooses.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of rules that draw at random.")] = 0,
    show: Annotated[
        str | None, typer.Option(metavar="MODALITY", help="The modality to be shown; by default the first.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address; 0.0.0.0 opens the server to the network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.")] = 8000,
) -> None:
    """Serve runs with MONAI Label, for 3D Slicer and other clients.

    To resume, run the same command again. Saved labels are in APP/studies/labels/final; then: semiseg adopt
    APP/suggestions/RULE RUN/recipe.yaml -o NEXT.yaml --labels APP/studies/labels/final

    Example: semiseg-monai-label runs/hippocampus_cps --by disagreement -o round_1
    """
    _require_monai_label()
    modalities = list(model_record(runs[0])["modalities"])
    if show is not None and show not in modalities:
        raise RunError(f"The run has no modality {show!r}.", f"Choose one of {', '.join(modalities)}.")
    shown = show or modalities[0]
    folders = [run.resolve() for run in runs]
    settings = Settings(
        runs=folders, images=None if images is None else images.resolve(), by=by, n=n, seed=seed, show=shown
    )
    served, is_new = new_app(output.resolve(), settings)
    try:
        cases = Rounds(served, _Lines()).cases(by)
    except semiseg.SemisegError:
        if is_new:
            shutil.rmtree(served.home)
        raise
    print(f"Cases by {by}: {len(cases)}, the first {cases[0].case}. Shown: {shown}.", file=sys.stderr)
    print(f"Starting http://{host}:{port}, without passwords or encryption.", file=sys.stderr)
    arguments = ["start_server", "--app", str(served.home), "--studies", str(served.studies)]
    command = [sys.executable, "-m", "monailabel.main", *arguments, "--host", host, "--port", str(port)]
    sys.stderr.flush()
    os.execv(sys.executable, command)


def _require_monai_label() -> None:
    if importlib.util.find_spec("monailabel") is None:
        fix = 'Install it: pip install "semiseg-monai-label[server]"'
        raise ComponentError("MONAI Label is not installed.", fix)


def main() -> None:
    """Run the command line; semiseg's errors are shown without a traceback and set its exit codes."""
    try:
        typer.run(serve)
    except semiseg.SemisegError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
