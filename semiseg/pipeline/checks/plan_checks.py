"""Checks of a recipe against its data and this machine, before training."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from pydantic import ValidationError
from torch import nn

from semiseg.data.draws import Counts
from semiseg.engine.averages import averaged_roles
from semiseg.engine.determinism import without_deterministic_gradient
from semiseg.engine.optim import options_of
from semiseg.engine.precision import cpu_bf16_problems
from semiseg.engine.runtime import accelerator, precision_on
from semiseg.engine.step_modes import StepMode, inexact
from semiseg.errors import ComponentError, DataError, Problem
from semiseg.interfaces.augmentation import Augmentation, BatchAugmentation
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.component import declared_axes
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import BatchNeeds, Strategy
from semiseg.messages import some
from semiseg.recipe.component_slots import component_title
from semiseg.recipe.components import Components
from semiseg.recipe.schema import Recipe
from semiseg.scoring.score_case import find_regions
from semiseg.types import DatasetInfo, Task

Networks = Callable[[], Mapping[str, nn.Module]]
"""Returns each role's network on the meta device, built only when needed."""


def spatial_problems(components: Components, task: Task, recipe: Recipe) -> list[Problem]:
    """Return the components that do not support images with the patch's number of axes."""
    sides, supported = task.spatial_dims, {2: "two", 3: "three"}
    key = recipe.placed("training.patch_size")
    problems = []
    for component, named, instead in _with_spatial_dims(components, recipe):
        declared = declared_axes(component)
        if sides not in declared:
            axes = " or ".join(supported[n] for n in sorted(declared))
            what = f"{key} has {supported[sides]} sides, but {named} supports only images with {axes} axes."
            problems.append(Problem("", what, f"Choose {axes} sides for training.patch_size, or {instead}."))
    try:
        components.augmentation.source_size(task.patch_size)
    except ComponentError as error:
        problems += error.problems
    return problems


def _with_spatial_dims(
    components: Components, recipe: Recipe
) -> Iterator[tuple[type[Strategy] | Backbone | Augmentation, str, str]]:
    """Yield strategy, backbones and augmentation, each with its name and key in the recipe, and the alternative."""
    strategy = f"{recipe.placed('strategy')} {component_title(recipe.strategy.name)}"
    yield components.strategy, strategy, "another strategy"
    found: dict[str, tuple[Backbone, str, str]] = {}
    own = {role.name: role.backbone for role in components.roles}
    for role, backbone in components.backbones.items():
        key = f"strategy.networks.{role}"
        if role in recipe.strategy.networks:
            named = f"{recipe.placed(key)} {component_title(recipe.strategy.networks[role].name)}"
            found[named] = backbone, named, "another backbone"
        elif own[role] is not None:
            named = f"backbone {own[role]}, which {strategy} uses for {role},"
            found[named] = backbone, named, f"another backbone in {key}"
        else:
            named = f"{recipe.placed('backbone')} {component_title(recipe.backbone.name)}"
            found[named] = backbone, named, "another backbone"
    yield from found.values()
    augmentation = f"{recipe.placed('augmentation')} {component_title(recipe.augmentation.name)}"
    yield components.augmentation, augmentation, "another augmentation"


def patch_problems(components: Components, task: Task, recipe: Recipe) -> list[Problem]:
    """Return each role's backbone's objections to the patch size."""
    key = recipe.placed("training.patch_size")
    found = {
        f"{key} {list(task.patch_size)} does not fit backbone {type(backbone).__name__}: {text}."
        for backbone in components.backbones.values()
        for text in backbone.patch_problems(task)
    }
    return [Problem("", text, "Choose sides that fit, such as multiples of 16.") for text in sorted(found)]


def copy_problems(components: Components, networks: Networks, recipe: Recipe) -> list[Problem]:
    """Return roles that should start as a copy of another role's network but have a different architecture."""
    roles = {role.name: role for role in components.roles}
    copies = [(role, roles[role.initialized_like]) for role in components.roles if role.initialized_like is not None]
    backbones = components.backbones
    if all(_same_network(role, first, backbones) for role, first in copies):
        return []
    shapes = {name: {key: value.shape for key, value in net.state_dict().items()} for name, net in networks().items()}
    key = recipe.placed("strategy.networks")
    return [
        Problem(
            "",
            f"{key} gives {role.name} a different network from {first.name}, although it starts as a copy of it.",
            "Give both the same backbone with the same options, or list neither.",
        )
        for role, first in copies
        if shapes[role.name] != shapes[first.name]
    ]


def _same_network(role: Role, other: Role, backbones: Mapping[str, Backbone]) -> bool:
    if role.standalone is not None or other.standalone is not None:
        return role.standalone is other.standalone
    return backbones[role.name] is backbones[other.name]


def machine_problems(components: Components, networks: Networks, task: Task, recipe: Recipe) -> list[Problem]:
    """Return what the recipe's networks need and the training device cannot do."""
    return precision_problems(components, networks, task, recipe) + determinism_problems(components, networks, recipe)


def precision_problems(components: Components, networks: Networks, task: Task, recipe: Recipe) -> list[Problem]:
    """Return problems if the precision is unreliable on the training device."""
    if not bf16_on_cpu(recipe):
        return []
    found: dict[str, Problem] = {}
    for role in components.roles:
        problems = cpu_bf16_problems(networks()[role.name], role.meta_inputs(task))
        found |= {problem.what: problem for problem in problems}
    return list(found.values())


def determinism_problems(components: Components, networks: Networks, recipe: Recipe) -> list[Problem]:
    """Return problems if a deterministic run on a GPU would fail at its first backward pass."""
    if not recipe.training.deterministic or accelerator(recipe.training.device) != "cuda":
        return []
    trained = (networks()[role.name] for role in components.roles if role.trained)
    layers = without_deterministic_gradient(trained)
    if not layers:
        return []
    key = recipe.placed("training.deterministic")
    what = f"{key} is true, but torch has no deterministic GPU gradient for {some(layers, 4)} in the networks."
    return [Problem("", what, "Choose another backbone, or set it to false.")]


def optimizer_problems(components: Components, recipe: Recipe) -> list[Problem]:
    """Return roles whose differences from the recipe's optimizer are invalid."""
    problems = []
    for role in components.roles:
        try:
            options_of(role, recipe.training.optimizer)
        except ValidationError as error:
            where = f"The optimizer of role {role.name} of strategy {components.strategy.__name__} is invalid"
            what = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            problems.append(Problem("", f"{where}: {what}.", "Correct Role.optimizer in the strategy's code."))
    return problems


def ema_problems(components: Components, recipe: Recipe) -> list[Problem]:
    """Return a problem if averaged weights are asked for and no trained network predicts."""
    if recipe.training.ema is None or averaged_roles(components.strategy, components.strategy_options):
        return []
    key, predicting = recipe.placed("training.ema"), [role.name for role in components.roles if role.predicts]
    what = f"{key} averages the weights of trained networks, but strategy {recipe.strategy.name} predicts with"
    return [Problem("", f"{what} {some(predicting, 3)}, which no optimizer trains.", "Leave training.ema out.")]


def region_problems(recipe: Recipe, info: DatasetInfo) -> list[Problem]:
    """Return problems of the recipe's or dataset's regions with the dataset's classes, and with the Dice losses."""
    if recipe.training.outputs == "regions" and not recipe.training.dice.background:
        what = f"{recipe.placed('training.dice.background')} is false, but training.outputs are regions"
        return [Problem("", f"{what}, which have no background.", "Leave it out.")]
    try:
        find_regions(scored_regions(recipe, info), info.classes)
    except DataError as error:
        own = recipe.evaluation.regions is None
        key = f"{recipe.placed('dataset')} {recipe.dataset.name}" if own else recipe.placed("evaluation.regions")
        return [Problem(f"{key}, {problem.where}", problem.what, problem.fix) for problem in error.problems]
    return []


def scored_regions(recipe: Recipe, info: DatasetInfo) -> Mapping[str, Sequence[str]]:
    """Return the recipe's regions, or the dataset's if the recipe names none."""
    asked = recipe.evaluation.regions
    return info.regions if asked is None else asked


def ignored_problems(components: Components, recipe: Recipe, info: DatasetInfo) -> list[Problem]:
    """Return a problem if the dataset ignores a value and the strategy cannot leave out voxels."""
    if not info.has_ignored or components.strategy.supports_ignored:
        return []
    key = recipe.placed("strategy.name")
    what = f"{key} is {recipe.strategy.name}, which cannot train on labels with ignored voxels (value {info.ignore})."
    return [Problem("", what, "Choose another strategy, or label all voxels of the labeled cases.")]


def augmentation_problems(components: Components, recipe: Recipe) -> list[Problem]:
    """Return problems if the augmentation should run on the device and cannot."""
    if recipe.training.augmentation_on == "workers" or isinstance(components.augmentation, BatchAugmentation):
        return []
    key, name = recipe.placed("training.augmentation_on"), recipe.augmentation.name
    what = f"{key} is device, but augmentation {name} works on single samples only (it is not a BatchAugmentation)."
    return [Problem("", what, "Set it to workers, or choose an augmentation that works on batches, such as fused.")]


def inference_problems(components: Components, recipe: Recipe, n_validation: int) -> list[Problem]:
    """Return problems if prediction cannot be done as set."""
    options, problems = recipe.inference, []
    if options.mirror and not components.augmentation.flipped_axes(len(recipe.training.patch)):
        key, name = recipe.placed("inference.mirror"), recipe.augmentation.name
        what = f"{key} is true, but augmentation {name} flips no axis, so that there is nothing to mirror."
        problems.append(Problem("", what, "Set it to false, or choose an augmentation with flips (flip_axes)."))
    if options.postprocess == "auto" and not n_validation:
        key = recipe.placed("inference.postprocess")
        what = f"{key} is auto, but there are no validation cases to decide on."
        problems.append(Problem("", what, "Set split.validation, or choose none or largest_component."))
    return problems


def batch_problems(batch: Counts, needs: BatchNeeds, recipe: Recipe) -> list[Problem]:
    """Return problems if the samples of a step that uses both streams do not meet the strategy's needs."""
    problems = []
    for name, size, need in (
        ("labeled", batch.labeled, needs.labeled),
        ("unlabeled", batch.unlabeled, needs.unlabeled),
    ):
        key = recipe.placed(f"training.batch_size.{name}")
        if size < need.minimum:
            problems.append(Problem("", f"{key} is {size}; the strategy needs at least {need.minimum}."))
        elif size % need.unit:
            problems.append(Problem("", f"{key} is {size}; the strategy needs a multiple of {need.unit}."))
    return problems


def step_problems(
    components: Components,
    networks: Networks,
    n_samples: int,
    recipe: Recipe,
    device_known: bool = True,
) -> list[Problem]:
    """Return problems if the step mode or micro-batch would not give the joint step's gradients.

    ``n_samples``: most samples that a step draws, at most those of the recipe's batch. Unless ``device_known``, the
    precision is used as written, since "auto" depends on the device.
    """
    options, batch = recipe.training.step, recipe.training.batch
    size = None if options.micro_batch == "auto" else options.micro_batch
    fixes = {"mode": "Set it to auto or joint.", "micro_batch": f"Set it to auto or {batch.total}, the whole batch."}
    if size is not None and size > batch.total:
        what = f"{recipe.placed('training.step.micro_batch')} is {size}, but a step has {batch.total} samples."
        return [Problem("", what, fixes["micro_batch"])]
    mode = StepMode("joint" if options.mode == "auto" else options.mode, size)
    training = recipe.training
    precision = precision_on(training.precision, accelerator(training.device)) if device_known else training.precision
    meta = networks() if size is not None else {}
    found = inexact(mode, components.strategy, meta, n_samples, precision, recipe.training.dice.batch, components.needs)
    keys = {key: recipe.placed(f"training.step.{key}") for key, _ in found}
    return [
        Problem("", f"{keys[key]} is {getattr(options, key)}, inexact here: {why}.", fixes[key]) for key, why in found
    ]


def bf16_on_cpu(recipe: Recipe) -> bool:
    """Return whether training would use bf16 on a CPU."""
    device = accelerator(recipe.training.device)
    return (device, precision_on(recipe.training.precision, device)) == ("cpu", "bf16")
