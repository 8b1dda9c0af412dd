"""Cost of a study's models, estimated before training and without their data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from semiseg.data.draws import Counts
from semiseg.data.split import Split
from semiseg.engine.probe import Measured
from semiseg.engine.runtime import Runtime
from semiseg.errors import DataError, SemisegError
from semiseg.interfaces.dataset import Dataset
from semiseg.pipeline.model import new_model
from semiseg.pipeline.outputs import task_of
from semiseg.pipeline.plan import Plan, make_plan, networks_once, timetable_of
from semiseg.pipeline.samples.step_sizes import n_steps, step_sizes
from semiseg.pipeline.step_mode import NoiseTrial, OpenModes, choose_step_mode
from semiseg.planning.open_values import open_keys
from semiseg.recipe.components import resolve
from semiseg.study.models import StudyModel

_NO_CASES = Split((), (), (), ())


@dataclass(frozen=True, slots=True)
class Forecast:
    """Estimated cost of a model.

    Attributes:
        steps: number of training steps.
        batch: samples by stream of a step that uses unlabeled ones, if the model has any.
        memory: bytes of a step in float32, by formula, in the fastest step mode that the recipe allows; None
            if the number of modalities and classes is not known without the data.
        least: the same in the step mode with the lowest memory.
        measured: a timed step; None if not measured.
        any_unlabeled: whether there are unlabeled cases for the model; None if that is not known without the data,
            and the batch is the one with them.
    """

    steps: int
    batch: Counts
    memory: int | None
    least: int | None
    measured: Measured | None = None
    any_unlabeled: bool | None = True

    @property
    def hours(self) -> float | None:
        """Hours of training steps, without validation and prediction."""
        return None if self.measured is None else self.measured.seconds * self.steps / 3600


def forecasts(
    models: Sequence[StudyModel], *, measure: bool = False, progress: Callable[[], None] = lambda: None
) -> tuple[Forecast, ...]:
    """Return a forecast for each model; models that differ only in cases and seed share their measurements.

    ``measure`` times a step on noise on this machine. Raises DataError if that requires data that are missing;
    ``progress`` is called after each model.
    """
    done: dict[str, Forecast] = {}
    found = []
    for model in models:
        key = _alike(model)
        if key not in done:
            done[key] = _forecast(model, measure)
        found.append(done[key])
        progress()
    return tuple(found)


def _alike(model: StudyModel) -> str:
    recipe = model.recipe
    made = recipe.split if open_keys(recipe) else None  # then the cases count
    parts = (recipe.dataset, recipe.preprocessing, recipe.backbone, recipe.strategy, recipe.training, made)
    return repr((parts, model.any_unlabeled, model.counts_tell))


def _forecast(model: StudyModel, measure: bool) -> Forecast:
    recipe = model.recipe
    if open_keys(recipe):  # only the data tell
        recipe = make_plan(recipe, on_this_machine=False).recipe
    training = recipe.training
    components = resolve(recipe)
    unlabeled = _any_unlabeled(model, components.dataset)
    sizes, _ = step_sizes(training.batch, components.needs, unlabeled is not False)
    steps = n_steps(training)
    try:
        info = components.dataset.info()
    except SemisegError as error:
        if measure:
            raise DataError(error.problems) from error
        return Forecast(steps, sizes.mixed, None, None, any_unlabeled=unlabeled)
    task = task_of(recipe, info)
    plan = Plan(recipe, components, info, (), _NO_CASES, task, sizes, (), networks_once(components, task))
    found = OpenModes(plan, world=1)
    memory = [found.estimate(mode) for mode in found.modes]
    return Forecast(steps, sizes.mixed, memory[0], min(memory), _time(plan) if measure else None, unlabeled)


def _any_unlabeled(model: StudyModel, dataset: Dataset) -> bool | None:
    """Return whether there are unlabeled cases for the model; None if neither the counts nor the data tell."""
    if model.counts_tell:
        return model.any_unlabeled
    try:
        return any(case.label is None for case in dataset.cases())
    except SemisegError:
        return None


def _time(plan: Plan) -> Measured | None:
    """Time a step on noise at the end of training, when all losses are active, in the step mode of a run here."""
    training = plan.recipe.training
    runtime = Runtime(training.device, training.precision, training.deterministic)
    strategy = new_model(plan, runtime).strategy.to(runtime.device)
    table = timetable_of(plan, strategy)
    late = table.step(table.total - 1)
    mode = choose_step_mode(plan, strategy, late, runtime).mode
    batch = plan.draws.at(late.index)
    return NoiseTrial(plan, strategy, late, runtime, batch, batch)(mode)
