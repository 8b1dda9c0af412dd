"""Which unlabeled cases to label next, with what an annotator opens: ``semiseg suggest``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from semiseg.data.digests import digest_text
from semiseg.errors import ComponentError, DataError, RunError, raise_all
from semiseg.interfaces.acquisition import Acquisition
from semiseg.io.lock import locked
from semiseg.pipeline.cost import cost_note
from semiseg.prediction.ensemble import load_runs
from semiseg.prediction.look import look_at
from semiseg.progress import Reporter
from semiseg.recipe.component_slots import Slot
from semiseg.recipe.components import find_components
from semiseg.suggestion.making import Making
from semiseg.suggestion.networks import find_networks, require_fitting
from semiseg.suggestion.pool import find_pool
from semiseg.suggestion.record import Suggestion, begin, plain_request, read_suggestion, require_usable


def suggest(
    run: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    by: str,
    n: int = 5,
    images: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    slices: int = 5,
    checkpoint: str = "best",
    device: str = "auto",
    memory_gib: float | Literal["auto"] | None = None,
    reporter: Reporter | None = None,
) -> Suggestion:
    """Choose the unlabeled cases that are worth labeling next, and write what an annotator needs for them.

    Each network of a run that predicts is a member of an ensemble: both of a co-training method, and those of all runs.
    A stopped call is resumed by the same call; a finished one returns what is there.

    Args:
        run: the run folder, or several with the same modalities and classes.
        output: a new folder for ``suggestions.csv``, ``suggestion.json``, ``index.html``, ``images``, ``proposals``
            (``CASE.nii.gz`` and ``CASE.seg.nrrd`` for 3D Slicer, or ``CASE.png``), ``uncertainty`` and ``labels``,
            where finished labels are put.
        by: the rule's name.
        n: how many patients; all unlabeled cases of a patient are suggested together.
        images: a folder of new images; by default the runs' own unlabeled cases.
        options: the rule's options.
        seed: seed of rules that draw at random.
        slices: the most slices of a volume to name as worth drawing first.
        checkpoint: ``best`` or ``last``.
        device: ``auto``, ``cpu`` or ``cuda``.
        memory_gib: limit of memory per image in GiB, or ``auto``; by default as the recipe says.
        reporter: receives progress.

    Raises:
        RunError: no such run; runs that do not fit together, or to the rule; no unlabeled cases; an output folder with
            something else, which is not changed.
        ComponentError: an unknown rule or option.
        DataError: images that cannot be read or do not match the model; none is suggested then.
        TrainingError: an image for which memory ran out.
    """
    if n < 1 or slices < 1:
        raise RunError(f"{n} patients and {slices} slices were asked for.", "Ask for at least one of each.")
    reporter, home = reporter or Reporter(), Path(output)
    rule = find_rule(by, options or {})
    require_usable(home)
    runs = load_runs(run, checkpoint, device, None, reporter)
    networks = find_networks(runs, checkpoint, memory_gib, reporter)
    require_fitting(rule, by, networks, runs)
    pool = find_pool(runs, None if images is None else Path(images), with_labeled=rule.uses_features)
    looks, unreadable = look_at(pool.cases, pool.dataset, reporter)
    raise_all([*pool.problems, *unreadable], DataError)
    cost = cost_note({name: look.grid for name, look in looks.items()}, networks.ensemble, runs[0].model.task)
    for note in (*pool.notes, *([cost] if cost and rule.members else [])):
        reporter.say(f"Note: {note.removesuffix('.')}.")
    request = plain_request(
        {
            "rule": by,
            "options": rule.options.model_dump(mode="json"),
            "seed": seed,
            "n": n,
            "slices": slices,
            "checkpoint": checkpoint,
            "runs": [{"run": str(one.kept.folder.path), "weights": one.weights} for one in runs],
            "images": None if images is None else str(Path(images).absolute()),
            "pool": digest_text("\n".join(f"{name} {' '.join(look.digests)}" for name, look in sorted(looks.items()))),
        }
    )
    with locked(home):
        if begin(home, request):
            reporter.say(f"{home} holds this suggestion already; nothing was done.")
            return read_suggestion(home)
        return Making(home, rule, runs, networks, pool, slices, reporter)(request)


def find_rule(name: str, options: Mapping[str, Any]) -> Acquisition:
    """Return a rule with options. Raises ComponentError with every problem."""
    slot = Slot("acquisition", (name,), name, dict(options))
    found, problems = find_components([slot], lambda key: "")
    raise_all(problems, ComponentError)
    rule: Acquisition = found[(name,)].make()
    return rule
