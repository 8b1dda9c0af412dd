"""Finished labels become training data: ``semiseg adopt``."""

import filecmp
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from semiseg.errors import DataError, Problem, RunError, SemisegError, raise_all
from semiseg.io.atomic import require_file, told_where_refused, write_json, write_text
from semiseg.messages import counted, nearest, some
from semiseg.pipeline.plan import make_plan
from semiseg.pipeline.plan_values import split_of
from semiseg.pipeline.predictions import weights_digest
from semiseg.progress import Reporter
from semiseg.recipe.adopted import IMAGES
from semiseg.recipe.components import resolve
from semiseg.recipe.find import find_recipe
from semiseg.recipe.load import load_recipe
from semiseg.recipe.overrides import apply_overrides
from semiseg.recipe.yaml import read_yaml
from semiseg.runs.folder import RunFolder
from semiseg.suggestion.finished import Finished, drawn_labels, own_labels
from semiseg.suggestion.next_recipe import next_data, recipe_text, require_same_split
from semiseg.suggestion.record import LABELS, Suggestion, read_suggestion
from semiseg.suggestion.rounds import ROUNDS, earlier_rounds, new_round, sentence


@dataclass(frozen=True, slots=True, repr=False)
class Adopted:
    """The result of ``semiseg adopt``.

    Attributes:
        recipe: the next recipe.
        folder: the folder of its new labels.
        cases: ids of the adopted cases, the best first.
        missing: ids of the suggested cases without a finished label.
        unchanged: ids of the adopted cases whose label equals the proposal.
        rounds: all rounds in words, the first one first.
    """

    recipe: Path
    folder: Path
    cases: tuple[str, ...]
    missing: tuple[str, ...]
    unchanged: tuple[str, ...]
    rounds: tuple[str, ...]

    def __repr__(self) -> str:
        lines = [f"{counted(len(self.cases), 'label')} adopted: {', '.join(self.cases)}", *self.rounds]
        return "\n".join([*lines, f"Next: semiseg run {self.recipe}"])


def adopt(
    suggestion: str | Path,
    recipe: str | Path,
    output: str | Path,
    *,
    labels: str | Path | Literal["dataset"] | None = None,
    minutes: Mapping[str, float] | None = None,
    overrides: Sequence[str] = (),
    reporter: Reporter | None = None,
) -> Adopted:
    """Write the next recipe: finished labels of suggested cases join the labeled cases.

    It keeps validation and test cases, starts from the weights of the suggestion's first run, and finds the labels in a
    folder beside it, ``NEXT_labels``, into which they are copied: neither the dataset nor the suggestion is changed.
    The folder's ``rounds.json`` keeps the history of all rounds.

    Args:
        suggestion: the folder of a finished suggestion.
        recipe: the recipe of its first run: ``RUN/recipe.yaml``, another file, or the name of a shipped one.
        output: the next recipe, a new ``.yaml`` file.
        labels: the folder of finished labels, by default the suggestion's ``labels``; ``dataset`` to take those that
            the dataset has itself, to simulate annotation.
        minutes: how long a case took, for the history.
        overrides: changes of the recipe, such as ``"training.epochs=10"``.
        reporter: receives progress and notes.

    Raises:
        RunError: no finished suggestion; a run that is not there or has other validation or test cases; an output that
            exists.
        RecipeError: a recipe that cannot be used, or a fold of a cross-validation.
        DataError: no finished label, or unusable ones, with all problems; nothing is written then.
    """
    reporter, target = reporter or Reporter(), Path(output)
    found = read_suggestion(Path(suggestion))
    raise_all([*_output_problems(target), *_minutes_problems(found, minutes or {})], RunError)
    run = Path(found.request["runs"][0]["run"])
    _require_run(run, found, reporter)
    file = find_recipe(recipe)
    data, places = read_yaml(file.path, file.title)
    apply_overrides(data, places, overrides)
    loaded = load_recipe(recipe, overrides)
    dataset = resolve(loaded).dataset
    split = split_of(loaded, dataset, dataset.cases())
    require_same_split(loaded, split, run)
    drawn = labels != "dataset"
    if drawn:
        place = Path(labels) if labels is not None else found.folder / LABELS
        done = drawn_labels(found, dataset, place, reporter)
    else:
        done = own_labels(found, dataset, reporter)
    _require_training(done, split.role_of)
    for note in _notes(done):
        reporter.say(f"Note: {note}.")
    rounds = [*earlier_rounds(loaded.dataset.adopted)]
    rounds.append(new_round(len(rounds) + 1, found, done, minutes or {}, drawn))
    folder = target.absolute().with_name(f"{target.stem}_labels")
    adopted = [case.id for case in done.cases]
    made = folder.with_name(f".tmp-{uuid.uuid4().hex[:8]}-{folder.name}")
    try:
        _fill(made, done if drawn else None, rounds, found)
        _require_plan(next_data(data, loaded, split, adopted, made, found), reporter)
        _place(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    next_recipe = next_data(data, loaded, split, adopted, folder, found)
    write_text(target, recipe_text(next_recipe, target, loaded.name, adopted))
    said = tuple(map(sentence, rounds))
    return Adopted(target, folder, tuple(adopted), done.missing, done.unchanged, said)


def _output_problems(target: Path) -> list[Problem]:
    if target.suffix not in (".yaml", ".yml"):
        return [Problem(str(target), "a recipe is a .yaml file", "Give NAME.yaml as --output.")]
    if target.exists():
        return [Problem(str(target), "it exists already", "Nothing was changed. Choose another --output.")]
    require_file(target)
    return []


def _minutes_problems(found: Suggestion, minutes: Mapping[str, float]) -> list[Problem]:
    ids = [one.case for one in found.cases]
    problems = [
        Problem(f"case {name}", f"it has minutes, but was not suggested.{nearest(name, ids)}")
        for name in minutes
        if name not in ids
    ]
    wrong = [name for name, value in minutes.items() if not 0 <= value < float("inf")]
    return [*problems, *(Problem(f"case {name}", f"it took {minutes[name]} minutes") for name in wrong)]


def _require_run(run: Path, found: Suggestion, reporter: Reporter) -> None:
    folder, checkpoint = RunFolder(run), found.request["checkpoint"]
    if not folder.recipe.exists() or not folder.weights(checkpoint).exists():
        what = "the run of this suggestion is not there, and the next round starts from its weights"
        raise RunError(Problem(str(run), what, "Restore it at this place, or suggest again from where it is now."))
    if weights_digest(folder, checkpoint) != found.request["runs"][0]["weights"]:
        reporter.say(
            f"Note: {run} has other weights than when the cases were suggested; the next round starts from them."
        )


def _require_training(done: Finished, role_of: Any) -> None:
    """Raise DataError for a case that the recipe uses for something else than training without its label."""
    fix = "Give the recipe of the suggestion's run."
    problems = [
        Problem(f"case {case.id}", f"it is a {role} case of the recipe already", fix)
        for case in done.cases
        if (role := role_of(case.id)) not in (None, "unlabeled")
    ]
    raise_all(problems, DataError)


def _notes(done: Finished) -> list[str]:
    notes = []
    if done.missing:
        are = f"{counted(len(done.missing), 'suggested case')} {'has' if len(done.missing) == 1 else 'have'}"
        notes.append(f"{are} no finished label and stay as they are: {some(done.missing)}")
    if done.unchanged:
        equal = "label equals its proposal" if len(done.unchanged) == 1 else "labels equal their proposals"
        notes.append(f"{len(done.unchanged)} {equal}: {some(done.unchanged)}; leave out what nobody has looked at")
    if done.empty:
        are = "1 label has no structure" if len(done.empty) == 1 else f"{len(done.empty)} labels have no structure"
        notes.append(f"{are}: {some(done.empty)}")
    return notes


def _fill(folder: Path, done: Finished | None, rounds: Sequence[Mapping[str, Any]], found: Suggestion) -> None:
    """Write the folder of a round: copies of the labels, images that the dataset does not have, and the history."""
    folder.mkdir(parents=True)
    for case in done.cases if done is not None else ():
        assert case.label is not None
        with told_where_refused(folder / case.label.name, case.label.stat().st_size):
            shutil.copy2(case.label, folder / case.label.name)
        for path in case.images if done is not None and case.id in done.foreign else ():
            (folder / IMAGES).mkdir(exist_ok=True)
            (folder / IMAGES / path.name).symlink_to(path.resolve(), target_is_directory=path.is_dir())
    write_json(folder / ROUNDS, {"rounds": [*rounds]})


def _require_plan(data: dict[str, Any], reporter: Reporter) -> None:
    """Raise SemisegError unless the next recipe, with its new labels, can be run."""
    try:
        make_plan(load_recipe(data), on_this_machine=False, reporter=reporter)
    except SemisegError as error:
        first = Problem("", "The next recipe could not be run; nothing was written.")
        raise type(error)([first, *error.problems]) from error


def _place(made: Path, folder: Path) -> None:
    """Move a finished folder to its place, unless an earlier call that was stopped left the same there."""
    if not folder.exists():
        made.rename(folder)
        return
    names = sorted(path.name for path in made.iterdir() if path.is_file() and path.name != ROUNDS)
    there = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != ROUNDS)
    if names != there or any(not filecmp.cmp(made / name, folder / name, shallow=False) for name in names):
        what = "it exists already, with other labels"
        raise RunError(Problem(str(folder), what, "Nothing was changed. Choose another --output."))
