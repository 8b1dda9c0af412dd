"""What a recipe comes to on this data, before anything is trained: split, task and batch, with all problems at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from semiseg.data.split import Split, make_split
from semiseg.engine.determinism import without_deterministic_gradient
from semiseg.engine.memory import meta_networks
from semiseg.engine.precision import cpu_bf16_problems, slow_bf16_notes
from semiseg.engine.runtime import accelerator, precision_on
from semiseg.engine.schedule import Timetable
from semiseg.errors import DataError, Problem, RecipeError, raise_all
from semiseg.evaluation.harness import find_regions
from semiseg.interfaces.augmentation import BatchAugmentation
from semiseg.interfaces.strategy import BatchNeeds, Strategy
from semiseg.pipeline.step_mode import step_problems
from semiseg.recipe.components import Components, resolve
from semiseg.recipe.dump import resolved
from semiseg.recipe.schema import BatchSize, Recipe, Training
from semiseg.types import Case, DatasetInfo, Task
from semiseg.wording import some


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
    resolved(recipe)  # what cannot be written down is told before anything is read
    components = resolve(recipe)
    dataset = components.dataset
    info = dataset.info()
    task = Task(len(info.modalities), info.classes, recipe.training.patch_size)
    unfit = patch_problems(components, task, recipe)
    problems = unfit or (machine_problems(components, task, recipe) if known else [])
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
    notes += [*target_note(components, recipe), *dataset.notes()]
    problems += batch_problems(batch_size, components.strategy.needs, recipe)
    if not unfit:
        problems += copy_problems(components, task, recipe)
        problems += step_problems(components, task, batch_size, recipe, lambda key: _placed(key, recipe), known)
    raise_all(problems, RecipeError)
    if known and _bf16_on_cpu(recipe):
        notes += slow_bf16_notes(_placed("training.precision", recipe))
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


def copy_problems(components: Components, task: Task, recipe: Recipe) -> list[Problem]:
    """Roles that are to begin as a copy of another role's network, and have one of another kind."""
    roles = {role.name: role for role in components.roles}
    copies = [(role, roles[role.initialized_like]) for role in components.roles if role.initialized_like is not None]
    backbones = components.backbones
    if all(backbones[role.name] is backbones[first.name] for role, first in copies):
        return []
    networks = meta_networks(components.roles, backbones, task)
    shapes = {name: {key: value.shape for key, value in net.state_dict().items()} for name, net in networks.items()}
    key = _placed("strategy.networks", recipe)
    return [
        Problem(
            "",
            f"{key} gives {role.name} another network than {first.name}, whose copy it begins as.",
            "Give both the same backbone with the same options, or name neither there.",
        )
        for role, first in copies
        if shapes[role.name] != shapes[first.name]
    ]


def machine_problems(components: Components, task: Task, recipe: Recipe) -> list[Problem]:
    """What the device that training would take cannot do for the recipe's networks."""
    return precision_problems(components, task, recipe) + determinism_problems(components, task, recipe)


def precision_problems(components: Components, task: Task, recipe: Recipe) -> list[Problem]:
    """Where the precision cannot be trusted on the device that training would take."""
    if not _bf16_on_cpu(recipe):
        return []
    found: dict[str, Problem] = {}
    for network in meta_networks(components.roles, components.backbones, task).values():
        found |= {problem.what: problem for problem in cpu_bf16_problems(network, task)}
    return list(found.values())


def _bf16_on_cpu(recipe: Recipe) -> bool:
    device = accelerator(recipe.training.device)
    return (device, precision_on(recipe.training.precision, device)) == ("cpu", "bf16")


def determinism_problems(components: Components, task: Task, recipe: Recipe) -> list[Problem]:
    """Where a deterministic run on a GPU would end at its first backward."""
    if not recipe.training.deterministic or accelerator(recipe.training.device) != "cuda":
        return []
    networks = meta_networks(components.roles, components.backbones, task)
    layers = without_deterministic_gradient(networks[role.name] for role in components.roles if role.trained)
    if not layers:
        return []
    key = _placed("training.deterministic", recipe)
    what = f"{key} is true, but on a GPU torch has no deterministic gradient of {some(layers, 4)} in the networks."
    return [Problem("", what, "Take another backbone, or set it to false.")]


def target_note(components: Components, recipe: Recipe) -> list[str]:
    """What to say where the device is made to wait for what workers could have made."""
    names = [target.name for target in components.strategy.needs.targets]
    if not names or recipe.training.augmentation_on == "workers":
        return []
    where = "training.augmentation_on is device: of labels that change there"
    return [f"{where} {some(names, 3)} is made between steps, on one core; workers make it meanwhile"]


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


def timetable_of(plan: Plan, strategy: Strategy) -> Timetable:
    """All steps of the plan's training. Raises ComponentError where the strategy's stages make no training."""
    options = plan.recipe.training
    examples, batch = options.examples_per_epoch, plan.batch_size.total
    return Timetable(strategy.stages(), options.epochs, examples, batch, plan.recipe.seed)


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
    are = "image is smaller than the patch and is" if len(small) == 1 else "images are smaller than the patch and are"
    return [f"{len(small)} {are} padded with background: {some(small, 3)}"]
