"""Running a study, from its recipe to the scores of every model, in one folder; resumable at any time."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from semiseg.data.split import ROLES
from semiseg.errors import Problem, RecipeError, RunError, SemisegError, TrainingError, raise_all
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.launcher import Job, Launcher
from semiseg.io.atomic import make_folder
from semiseg.io.lock import is_of_lock, locked
from semiseg.messages import Place, counted, explain
from semiseg.pipeline.observing import find_observers
from semiseg.pipeline.plan import Plan, make_plan
from semiseg.pipeline.train import fill_store
from semiseg.progress import Reporter
from semiseg.registry import installed, load, make_options
from semiseg.runs.folder import RunFolder
from semiseg.signals import interruptible
from semiseg.study.choices import choose_cases, with_choices
from semiseg.study.folder import StudyFolder
from semiseg.study.launch import Watcher, run_jobs
from semiseg.study.load import Study, load_study
from semiseg.study.models import StudyModel
from semiseg.study.status import Status, log_end


@dataclass(frozen=True, slots=True)
class StudyRun:
    """A study's folder, and the final status of each of its models."""

    folder: Path
    models: tuple[Status, ...]


def run_study(
    recipe: str | Path,
    output: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    only: Sequence[str] = (),
    jobs: int | None = None,
    launcher: str = "local",
    observers: Sequence[str] = (),
    reporter: Reporter | None = None,
    watch: Watcher = lambda statuses: None,
) -> StudyRun:
    """Train and score every model of a study that has no scores yet, each by the command ``semiseg run``.

    Every model is checked against the data before the first one starts. The same call on the same folder resumes: a
    stopped model continues at its step; one that has scores is skipped.

    Args:
        recipe: the study recipe's file, or the name of a shipped one.
        output: the study folder; ``runs/<study name>`` by default.
        overrides: changes to the base recipe.
        only: names of models to run, or patterns such as ``"cps_*_s1"``; all if empty.
        jobs: number of models at a time; by default one per GPU, or one without a GPU; on SLURM all.
        launcher: name of an installed launcher: ``local`` for processes, ``slurm`` for SLURM jobs by submitit.
        observers: follow each run, in trackers of experiments, each as ``NAME`` or ``NAME:OPTION=VALUE,…``.
        reporter: receives the progress of the preparations.
        watch: called with the state of all models about once a second.

    Raises:
        SemisegError: as ``load_study`` and ``make_plan`` do. ComponentError if there is no such launcher.
            TrainingError if models failed, after all others have ended, with the end of each one's log. Interrupted
            after Ctrl-C.
    """
    reporter = reporter or Reporter()
    cls: Any = load("launcher", launcher)
    find_observers(observers, reporter)  # before any model starts, and refused by its own run
    study = load_study(recipe, overrides)
    options = _options(study, launcher, cls)
    folder = StudyFolder(Path("runs") / study.name if output is None else Path(output))
    make_folder(folder.path)
    with interruptible(folder.path, cls.resume_hint), locked(folder.path):
        _refuse_other_folders(folder)
        chosen = _choose([model.name for model in study.models], only)
        _refuse_rounds_elsewhere(study, launcher, cls)
        for note in (*study.notes, *_unused_options(study)):
            reporter.say(f"Note: {note}.")
        wave = _Wave(study, folder, chosen, reporter, tuple(observers))
        while True:
            work = wave.prepare(on_this_machine=cls.here)
            starter: Launcher = cls(options, folder=folder.jobs / launcher, jobs=jobs)
            statuses = run_jobs(work, starter, watch)
            if not wave.choose():
                break
        for model in wave.left:
            if model.acquired and model.acquired.after not in chosen:
                reporter.say(f"Note: {model.name} waits for {model.acquired.after}, which --only leaves out.")
    _raise_failures(statuses, {job.name: job for job in work}, wave.left)
    return StudyRun(folder.path, tuple(statuses))


class _Wave:
    """The models that can be trained now: those whose labeled cases are known."""

    def __init__(
        self,
        study: Study,
        folder: StudyFolder,
        chosen: Sequence[str],
        reporter: Reporter,
        observers: tuple[str, ...],
    ) -> None:
        self.study, self.folder, self.chosen, self.reporter = study, folder, chosen, reporter
        self._observers = observers
        self.places: dict[str, str] = {}
        self._said: dict[str, None] = {}

    @property
    def left(self) -> list[StudyModel]:
        """The chosen models whose labeled cases are not known, as the model before has no scores."""
        return [model for model in self.study.models if model.is_waiting and model.name in self.chosen]

    def prepare(self, *, on_this_machine: bool) -> list[Job]:
        """Check all models, write the study, and return the jobs of those that can be trained."""
        folder, reporter = self.folder, self.reporter
        self.study = replace(self.study, models=with_choices(self.study.models, folder))
        known = [model for model in self.study.models if not model.is_waiting]
        self.places = places = folder.places(known)
        runs = {name: folder.run(place) for name, place in places.items()}
        plans = make_plans(self.study, reporter, on_this_machine=on_this_machine, runs=runs)
        self._say(f"{note}." for plan in plans.values() for note in plan.notes)
        names = [model.name for model in known if model.name in self.chosen]
        outdated = [name for name in folder.outdated(known, places) if name in names]
        if outdated:
            count = counted(len(outdated), "model")
            what = f"{count} will be predicted or scored again, without new training."
            self._say([f"the study has new settings for test cases: {what}"])
        jobs = [_job(name, plans[name], places, folder, name in outdated, self._observers) for name in names]
        if on_this_machine:
            missing = [name for name in names if not folder.run(places[name]).summary.exists()]
            _fill_stores([plans[name] for name in missing], reporter)
        folder.write(self.study, plans, places)  # only after all checks, to keep an existing study
        return jobs

    def choose(self) -> bool:
        """Choose the cases of models that wait for a model which has scores now; return whether there were any."""
        found = False
        for model in self.left:
            after = self.places.get(model.acquired.after) if model.acquired else None
            if after is not None and self.folder.run(after).summary.exists():
                choose_cases(model, self.folder.run(after), self.folder, self.reporter)
                found = True
        return found

    def _say(self, notes: Iterable[str]) -> None:
        for note in notes:
            if note not in self._said:
                self.reporter.say(f"Note: {note}")
                self._said[note] = None


def make_plans(
    study: Study, reporter: Reporter, *, on_this_machine: bool = True, runs: Mapping[str, RunFolder] | None = None
) -> dict[str, Plan]:
    """Return the plan of each model; ``runs``: their folders by name, which have the initial weights of those begun.

    Raises RecipeError with the problems of all models, or if their test or validation cases differ. If all problems are
    of one kind, such as DataError, the error is of that kind. Without ``on_this_machine``, checks that depend on the
    hardware are left to the machines that will train.
    """
    plans: dict[str, Plan] = {}
    problems: dict[Problem, None] = {}
    kinds: set[type[SemisegError]] = set()
    with reporter.work("checking models", len(study.models), unit="model") as meter:
        for model in study.models:
            run = (runs or {}).get(model.name)
            begun = run if run is not None and run.recipe.exists() else None
            try:
                plans[model.name] = make_plan(model.recipe, on_this_machine=on_this_machine, begun=begun)
            except SemisegError as error:
                problems |= dict.fromkeys(error.problems)
                kinds.add(type(error))
            meter.advance()
    raise_all(list(problems), kinds.pop() if len(kinds) == 1 else RecipeError)
    raise_all(_unlike(plans), RecipeError)
    return plans


def _refuse_other_folders(folder: StudyFolder) -> None:
    """Raise RunError if a folder holds something other than a study, except for leftovers of a start killed early."""
    if folder.manifest.exists():
        return
    early = {folder.recipes.name, folder.published.name, folder.study_recipe.name}  # study.json is written last
    others = [path for path in folder.path.iterdir() if path.name not in early and not is_of_lock(path)]
    if any(not path.name.startswith(".tmp-") for path in others):
        raise RunError(f"{folder.path} is not empty and contains no study.", "Choose another --output.")


def _unlike(plans: Mapping[str, Plan]) -> list[Problem]:
    first = next(iter(plans))
    expected = plans[first].split.evaluation_hash
    others = [name for name, plan in plans.items() if plan.split.evaluation_hash != expected]
    if not others:
        return []
    what = f"other test or validation cases than {first}: {', '.join(others)}"
    return [
        Problem(
            "matrix",
            what,
            "Models are compared on the same cases: do not vary split.test, split.validation or split.seed, nor "
            "whether there are split.folds.",
        )
    ]


def _choose(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    unknown = [pattern for pattern in patterns if not fnmatch.filter(names, pattern)]
    fix = f"The models are {', '.join(names)}."
    raise_all([Problem("--only", f"no model is called {pattern!r}", fix) for pattern in unknown], RecipeError)
    return [name for name in names if not patterns or any(fnmatch.fnmatchcase(name, p) for p in patterns)]


def _job(
    name: str, plan: Plan, places: Mapping[str, str], folder: StudyFolder, again: bool, observers: tuple[str, ...]
) -> Job:
    run = places[name]
    return Job(
        name,
        folder.recipe(run),
        folder.run(run).path,
        folder.log(run),
        plan.recipe.training.epochs,
        again=again,
        observers=observers,
    )


def _options(study: Study, launcher: str, cls: Any) -> ComponentOptions:
    """Return the launcher's options in the study recipe. Raises RecipeError with all problems."""
    key, values = study.recipe.options_of(launcher)
    try:
        return make_options(cls, values)
    except ValidationError as error:
        raise RecipeError(explain(error, cls.Options, values, Place(key, study.where))) from error


def _unused_options(study: Study) -> list[str]:
    """Return notes on options of launchers that are not installed; another machine may have them."""
    names = [entry.name for entry in installed("launcher")]
    return [
        f"launchers.{name} is not used: the installed launchers are {', '.join(names)}"
        for name in study.recipe.launchers
        if name not in names
    ]


def _fill_stores(plans: Iterable[Plan], reporter: Reporter) -> None:
    """Prepare the cases once, so that models starting together do not each do it."""
    largest: dict[str, Plan] = {}
    for plan in plans:
        key = repr((plan.recipe.dataset, plan.recipe.preprocessing))
        if key not in largest or _size(plan) > _size(largest[key]):
            largest[key] = plan
    for plan in largest.values():
        fill_store(plan, reporter)


def _size(plan: Plan) -> int:
    return sum(len(plan.split.cases(role)) for role in ROLES)


def _refuse_rounds_elsewhere(study: Study, launcher: str, cls: Any) -> None:
    rounds = [model.name for model in study.models if model.acquired]
    if rounds and not cls.here:
        what = f"{counted(len(rounds), 'model')} have labeled cases that a rule chooses, which {launcher} cannot run"
        fix = "The rules predict with the models of the round before: use --launcher local, in a job with a GPU."
        raise RecipeError(Problem("matrix", what, fix))


def _raise_failures(statuses: Sequence[Status], jobs: Mapping[str, Job], left: Sequence[StudyModel]) -> None:
    failed = [status for status in statuses if status.state == "failed"]
    problems = [_failure(status, jobs[status.name]) for status in failed]
    if problems:
        scored = len(statuses) - len(failed)
        fix = "Run the same command again: only these are run."
        what = f"{len(failed)} of {len(statuses)} models failed; {scored} have their scores"
        waiting = f"; {len(left)} wait for others" if left else ""
        problems.append(Problem("", f"{what}{waiting}.", fix))
    raise_all(problems, TrainingError)


def _failure(status: Status, job: Job) -> Problem:
    end = "\n".join(f"    {line}" for line in log_end(job.log).splitlines())
    how = status.reason or f"ended with exit code {status.code}"
    return Problem(status.name, f"{how}; the end of {job.log}:\n{end}", f"To run it alone: {job}")
