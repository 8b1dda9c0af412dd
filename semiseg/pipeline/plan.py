"""What a recipe comes to on this data, before anything is trained: split, task and batch, with all problems at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from semiseg.data.split import Split, make_split
from semiseg.engine.memory import meta_networks
from semiseg.engine.precision import cpu_bf16_problems
from semiseg.engine.runtime import accelerator, precision_on
from semiseg.errors import DataError, Problem, RecipeError
from semiseg.evaluation.harness import find_regions
from semiseg.interfaces.augmentation import BatchAugmentation
from semiseg.interfaces.strategy import BatchNeeds
from semiseg.pipeline.step_mode import step_problems
from semiseg.recipe.components import Components, resolve
from semiseg.recipe.schema import BatchSize, Recipe, Training
from semiseg.types import Case, DatasetInfo, Task


@dataclass(frozen=True)
class Plan:
    """A recipe with its components, cases and split. ``cases`` are as the dataset gives them, labels included."""

    recipe: Recipe
    components: Components
    info: DatasetInfo
    cases: tuple[Case, ...]
    split: Split
    task: Task
    batch_size: BatchSize
    notes: tuple[str, ...]

    @property
    def regions(self) -> Mapping[str, Sequence[str]]:
        """The regions that are scored: the recipe's, or where it names none the dataset's."""
        return scored_regions(self.recipe, self.info)


def make_plan(recipe: Recipe, *, on_this_machine: bool = True) -> Plan:
    """Resolve a recipe against its data; no voxel is read. Raises SemisegError with every problem found.

    ``on_this_machine``: whether the run is to be here. Otherwise nothing is refused for want of a GPU: where the run
    starts, its own plan looks at the hardware.
    """
    known = on_this_machine or recipe.training.device == "cpu"
    components = resolve(recipe)
    dataset = components.dataset
    info = dataset.info()
    task = Task(len(info.modalities), info.classes, recipe.training.patch_size)
    unfit = patch_problems(components, task, recipe)
    problems = unfit or (precision_problems(components, task, recipe) if known else [])
    problems += region_problems(recipe, info) + augmentation_problems(components, recipe)
    try:
        cases = tuple(dataset.cases())
        draw = recipe.seed if recipe.split.draw is None else recipe.split.draw
        split = make_split(cases, recipe.split, draw)
    except DataError as error:
        if not problems:
            raise
        raise DataError([*problems, *error.problems]) from error
    batch_size, notes = fit_batch(recipe.training.batch_size, components.strategy.needs, bool(split.unlabeled))
    notes = [*notes, *unused_note(len(split.unlabeled), recipe.training.batch_size, components.strategy.needs)]
    problems += batch_problems(batch_size, components.strategy.needs, recipe)
    if not unfit:
        problems += step_problems(components, task, batch_size, recipe, lambda key: _placed(key, recipe), known)
    if problems:
        raise RecipeError(problems)
    return Plan(recipe, components, info, cases, split, task, batch_size, (*recipe.notes, *notes))


def patch_problems(components: Components, task: Task, recipe: Recipe) -> list[Problem]:
    """What each role's backbone has against the patch size."""
    key = _placed("training.patch_size", recipe)
    found = {
        f"{key} {list(task.patch_size)} does not fit backbone {type(backbone).__name__}: {text}."
        for backbone in components.backbones.values()
        for text in backbone.patch_problems(task)
    }
    return [Problem("", text, "Choose sides that do, for instance multiples of 16.") for text in sorted(found)]


def precision_problems(components: Components, task: Task, recipe: Recipe) -> list[Problem]:
    """Where the precision cannot be trusted on the device that training would take."""
    device = accelerator(recipe.training.device)
    if (device, precision_on(recipe.training.precision, device)) != ("cpu", "bf16"):
        return []
    found: dict[str, Problem] = {}
    for network in meta_networks(components.roles, components.backbones, task).values():
        found |= {problem.what: problem for problem in cpu_bf16_problems(network, task)}
    return list(found.values())


def scored_regions(recipe: Recipe, info: DatasetInfo) -> Mapping[str, Sequence[str]]:
    """The recipe's regions, or where it names none the dataset's."""
    asked = recipe.evaluation.regions
    return info.regions if asked is None else asked


def region_problems(recipe: Recipe, info: DatasetInfo) -> list[Problem]:
    """What is wrong with the regions, the recipe's or the dataset's, for the dataset's classes."""
    try:
        find_regions(scored_regions(recipe, info), info.classes)
    except DataError as error:
        own = recipe.evaluation.regions is None
        key = f"{_placed('dataset', recipe)} {recipe.dataset.name}" if own else _placed("evaluation.regions", recipe)
        return [Problem(f"{key}, {problem.where}", problem.what, problem.fix) for problem in error.problems]
    return []


def augmentation_problems(components: Components, recipe: Recipe) -> list[Problem]:
    """Where the augmentation is to run on the device and cannot."""
    if recipe.training.augmentation_on == "workers" or isinstance(components.augmentation, BatchAugmentation):
        return []
    key, name = _placed("training.augmentation_on", recipe), recipe.augmentation.name
    what = f"{key} is device, but augmentation {name} changes single samples only (it is no BatchAugmentation)."
    return [Problem("", what, "Set it to workers, or take an augmentation that can, such as fused.")]


def fit_batch(batch: BatchSize, needs: BatchNeeds, any_unlabeled: bool) -> tuple[BatchSize, Sequence[str]]:
    """The batch as it is drawn: all labeled where the strategy takes no unlabeled samples, or there are none.

    So a supervised baseline and CPS without unlabeled data see as many samples a step as CPS with them.
    """
    if not batch.unlabeled or (needs.unlabeled.uses and any_unlabeled):
        return batch, ()
    reason = "there are no unlabeled cases" if needs.unlabeled.uses else "the strategy takes no unlabeled samples"
    return BatchSize(labeled=batch.total, unlabeled=0), (f"{reason}: all {batch.total} samples of a step are labeled",)


def unused_note(n_unlabeled: int, batch: BatchSize, needs: BatchNeeds) -> list[str]:
    """What to say where the recipe gives a strategy that could use them no unlabeled samples."""
    if batch.unlabeled or not needs.unlabeled.uses or not n_unlabeled:
        return []
    unused = "1 unlabeled case is" if n_unlabeled == 1 else f"{n_unlabeled} unlabeled cases are"
    return [f"no unlabeled sample is drawn, for training.batch_size.unlabeled is 0: {unused} not used"]


def n_steps(training: Training, batch: BatchSize) -> int:
    """Steps of a training with such a batch."""
    return training.epochs * -(-training.examples_per_epoch // batch.total)


def batch_problems(batch: BatchSize, needs: BatchNeeds, recipe: Recipe) -> list[Problem]:
    """Where the batch is not what the strategy needs."""
    problems = []
    for name, size, need in (
        ("labeled", batch.labeled, needs.labeled),
        ("unlabeled", batch.unlabeled, needs.unlabeled),
    ):
        key = _placed(f"training.batch_size.{name}", recipe)
        if size < need.minimum:
            problems.append(Problem("", f"{key} is {size}; the strategy needs at least {need.minimum}."))
        elif size % need.unit:
            problems.append(Problem("", f"{key} is {size}; the strategy needs a multiple of {need.unit}."))
    return problems


def _placed(key: str, recipe: Recipe) -> str:
    where = recipe.where(key)
    return f"{key} ({where})" if where else key


def padding_note(small: Sequence[str]) -> list[str]:
    """What to say of cases, by id, that are smaller than the patch."""
    if not small:
        return []
    examples = ", ".join(small[:3]) + (" and others" if len(small) > 3 else "")
    return [f"{len(small)} images are smaller than the patch and are padded with background: {examples}"]
