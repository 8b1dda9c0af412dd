"""The plan of a run: a recipe resolved against its data (split, task, batch), with all problems reported at once."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Any

from semiseg.data.draws import Draws
from semiseg.data.pseudo.files import PseudoFiles
from semiseg.data.split import Split
from semiseg.engine.memory import meta_networks
from semiseg.engine.precision import slow_bf16_notes
from semiseg.engine.schedule import TrainingSchedule
from semiseg.errors import DataError, Problem, RecipeError, raise_all
from semiseg.interfaces.strategy import Strategy
from semiseg.messages import some
from semiseg.pipeline.checks.plan_checks import (
    Networks,
    augmentation_problems,
    batch_problems,
    bf16_on_cpu,
    copy_problems,
    ema_problems,
    ignored_problems,
    inference_problems,
    machine_problems,
    optimizer_problems,
    patch_problems,
    region_problems,
    scored_regions,
    spatial_problems,
    step_problems,
)
from semiseg.pipeline.checks.preprocessing_checks import normalization_problems
from semiseg.pipeline.initial_weights.find import Initial, find_initial
from semiseg.pipeline.initial_weights.kept import from_folder
from semiseg.pipeline.new_strategy import new_strategy, without_memory
from semiseg.pipeline.outputs import mirror_notes, output_notes, output_problems, task_of
from semiseg.pipeline.plan_values import settle_recipe, split_of
from semiseg.pipeline.samples.external_pseudo import find_external
from semiseg.pipeline.samples.step_sizes import StepSizes, draws_of, step_sizes, unused_note
from semiseg.pipeline.samples.weak_views import weak_note
from semiseg.planning.settle import Settled
from semiseg.preprocessing.prepare import network_shape
from semiseg.progress import Reporter
from semiseg.recipe.components import Components, resolve
from semiseg.recipe.dump import resolved
from semiseg.recipe.schema import Recipe, SliceAxis
from semiseg.runs.folder import RunFolder
from semiseg.types import Case, DatasetInfo, Geometry, Shape, Task


@dataclass(frozen=True)
class Plan:
    """A recipe with its components, cases and split. ``cases`` are as the dataset returns them, including labels."""

    recipe: Recipe
    components: Components
    info: DatasetInfo
    cases: tuple[Case, ...]
    split: Split
    task: Task
    sizes: StepSizes
    notes: tuple[str, ...]
    networks: Networks = field(repr=False)
    """Each role's network on the meta device, built once."""
    settled: Settled | None = None
    """The values that were "auto" in the recipe as written, and their reasons; ``recipe`` has none."""
    as_written: Recipe | None = None
    """The recipe as written; None if it is ``recipe``."""
    initial: Initial = field(default_factory=Initial)
    """What the roles start from instead of random weights, unless the run has begun; ``components`` has it, too."""
    pseudo: PseudoFiles | None = None
    """The pseudo-labels of another model that training uses; None if it uses none."""
    known_draws: Draws | None = field(default=None, repr=False)
    """``draws``, if they are known already."""

    @property
    def written(self) -> Recipe:
        """The recipe as written, which the run folder keeps."""
        return self.recipe if self.as_written is None else self.as_written

    @property
    def planned(self) -> Mapping[str, Any]:
        """The values that were "auto", by key."""
        return {} if self.settled is None else self.settled.values

    @cached_property
    def draws(self) -> Draws:
        """The samples of every step.

        Unless they are known, the strategy is created for them as a run will, and discarded; raises what the run would.
        It takes no memory (the meta device), unless it cannot be created there, because it reads its networks' values.
        """
        if self.known_draws is not None:
            return self.known_draws
        with suppress(Exception):  # an error counts only if networks with values raise it too
            if (strategy := without_memory(self.recipe, self.components, self.task)) is not None:
                return self._draws_of(strategy)
        return self._draws_of(new_strategy(self.recipe, self.components, self.task))

    def with_draws(self, strategy: Strategy) -> "Plan":
        """Return the plan with the samples of every step, for a strategy that has been created."""
        return replace(self, known_draws=self._draws_of(strategy))

    def _draws_of(self, strategy: Strategy) -> Draws:
        return draws_of(self.sizes, timetable_of(self, strategy), strategy)

    def described(self) -> list[str]:
        """Return in words what was planned from the data: one line per value, and the networks that follow."""
        values = [] if self.settled is None else self.settled.described()
        found = {backbone.planned(self.task) for backbone in self.components.backbones.values()}
        return [*values, *(f"Planned network: {text}" for text in sorted(filter(None, found)))]

    @property
    def slices(self) -> SliceAxis | None:
        """``preprocessing.slice_axis`` if networks have two dimensions; None if they have three."""
        return self.recipe.preprocessing.slice_axis if self.task.spatial_dims == 2 else None

    @property
    def resamples(self) -> bool:
        """Whether images are resampled to one voxel size, or to one number of voxels."""
        return self.recipe.preprocessing.resamples

    @property
    def regions(self) -> Mapping[str, Sequence[str]]:
        """The scored regions: the recipe's, or the dataset's if the recipe names none."""
        return scored_regions(self.recipe, self.info)


def make_plan(
    recipe: Recipe,
    *,
    on_this_machine: bool = True,
    begun: RunFolder | None = None,
    reporter: Reporter | None = None,
) -> Plan:
    """Resolve a recipe against its data. Raises SemisegError with every problem found.

    Voxels are read only for values that are "auto" (``semiseg.planning``).

    Args:
        recipe: the recipe as written.
        on_this_machine: the run will be on this machine. Otherwise a missing GPU is no error: the plan made where the
            run starts checks the hardware.
        begun: the folder of this run, if it has begun: with the values that it began with in place of "auto", and the
            initial weights.
        reporter: receives the progress of reading.
    """
    known = on_this_machine or recipe.training.device == "cpu"
    resolved(recipe)  # reports what cannot be serialized before anything is read
    components = resolve(recipe)
    dataset = components.dataset
    info = dataset.info()
    written, settled = recipe, settle_recipe(recipe, components, info, begun.planned() if begun else {}, reporter)
    recipe = settled.recipe
    task = task_of(recipe, info)
    networks = networks_once(components, task)
    unfit = spatial_problems(components, task, recipe) or patch_problems(components, task, recipe)
    problems = unfit or (machine_problems(components, networks, task, recipe) if known else [])
    problems += optimizer_problems(components, recipe) + ema_problems(components, recipe)
    problems += normalization_problems(recipe, info)
    problems += region_problems(recipe, info) + output_problems(components, recipe, info)
    problems += augmentation_problems(components, recipe) + ignored_problems(components, recipe, info)
    try:
        cases = tuple(dataset.cases())
        split = split_of(recipe, dataset, cases)
    except DataError as error:
        if not problems:
            raise
        raise DataError([*problems, *error.problems]) from error
    sizes, notes = step_sizes(recipe.training.batch, components.needs, bool(split.unlabeled))
    notes = [*notes, *unused_note(len(split.unlabeled), recipe.training.batch, components.needs)]
    notes += split.fold.notes if split.fold else ()
    external = find_external(recipe, components, cases, split)
    notes += external.notes
    problems += external.problems
    notes += [*target_note(components, recipe), *weak_note(components, recipe)]
    notes += [*output_notes(task), *dataset.notes()]
    notes += mirror_notes(components, recipe, task)
    problems += inference_problems(components, recipe, len(split.validation))
    problems += batch_problems(sizes.mixed, components.needs, recipe)
    if not unfit:
        problems += copy_problems(components, networks, recipe)
        problems += step_problems(components, networks, sizes.largest, recipe, known)
    initial = Initial()
    if begun is not None and recipe.training.initial_weights is not None:
        components = from_folder(components, begun)
    elif not unfit:
        initial = find_initial(recipe, components, info, task, split, networks)
        components = initial.into(components)
        problems += initial.problems
        notes += initial.notes
    raise_all(problems, RecipeError)
    if known and bf16_on_cpu(recipe):
        notes += slow_bf16_notes(recipe.placed("training.precision"), task.spatial_dims)
    notes = [*recipe.notes, *notes]
    parts = recipe, components, info, cases, split, task, sizes, tuple(notes), networks
    return Plan(*parts, settled, written, initial, external.files)


def target_note(components: Components, recipe: Recipe) -> list[str]:
    """Return a note if the device waits for targets that workers could have made."""
    names = [target.name for target in components.needs.targets]
    if not names or recipe.training.augmentation_on == "workers":
        return []
    targets = f"targets of the augmented labels ({some(names, 3)})"
    where = "between steps, on one core; workers compute them in parallel"
    return [f"training.augmentation_on is device: {targets} are computed {where}"]


def networks_once(components: Components, task: Task) -> Networks:
    """Return a function that builds the roles' networks on the meta device at its first call and caches them."""
    return cache(partial(meta_networks, components.roles, components.backbones, task))


def timetable_of(plan: Plan, strategy: Strategy) -> TrainingSchedule:
    """Return all steps of the plan's training. Raises ComponentError if the strategy's stages are invalid."""
    options = plan.recipe.training
    examples, batch = options.examples_per_epoch, options.batch.total
    return TrainingSchedule(strategy.stages(), options.epochs, examples, batch, plan.recipe.seed)


def grid_problems(plan: Plan) -> list[Problem]:
    """Return the problems of the split's cases whose images cannot be resampled, from their headers."""
    options, used, problems = plan.recipe.preprocessing, set(plan.split.ids()), list[Problem]()
    for case in plan.cases if plan.resamples else ():
        if case.id in used:
            with suppress(DataError):  # a header that cannot be read is reported with the files
                grid = plan.components.dataset.read_geometry(case)
                try:
                    network_shape(grid, options, f"case {case.id}")
                except DataError as error:
                    problems += error.problems
    return problems


def picture_problems(grids: Iterable[Geometry], plan: Plan) -> list[Problem]:
    """Return problems if images are pictures, and the patch has three sides, or a voxel size is asked for."""
    if not any(grid.unit == "pixel" for grid in grids):
        return []
    problems, sides = list[Problem](), list(plan.task.patch_size)
    if plan.task.spatial_dims == 3:
        what = f"training.patch_size has three sides, {sides}, but the images are 2D."
        problems.append(Problem("", what, f"Give two: training.patch_size={sides[:2]}."))
    if plan.recipe.preprocessing.spacing != "none":
        what = "preprocessing.spacing is a voxel size, but the images are pictures, which have none."
        problems.append(
            Problem(
                plan.recipe.where("preprocessing.spacing"), what, "Leave it out, or give resize a number of pixels."
            )
        )
    return problems


def is_smaller(shape: Shape, box: Shape) -> bool:
    """Return whether an image is smaller than a box along some axis, and is then padded."""
    return any(n < p for n, p in zip(shape, box, strict=True))


def padding_note(small: Sequence[str]) -> list[str]:
    """Return a note on cases, by id, that are smaller than the patch."""
    if not small:
        return []
    images, are = ("training image", "is") if len(small) == 1 else ("training images", "are")
    names = some(small, 3)
    return [f"{len(small)} {images} {are} smaller than the patch and {are} padded with background: {names}"]
