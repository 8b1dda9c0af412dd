"""A strategy for a training loop other than semiseg's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from semiseg.engine.build import build_strategy
from semiseg.errors import ArgumentError, Problem, raise_all
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.strategy import Strategy
from semiseg.recipe.components import backbones_of, find_all
from semiseg.types import Task

Network = str | Mapping[str, Any] | Backbone | Callable[[], nn.Module]


class _Given(Backbone):
    """A backbone that makes the caller's networks, which have logits and nothing else."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__(ComponentOptions())
        self._make = make

    def build(self, task: Task) -> nn.Module:
        return self._make()


def make_strategy(
    strategy: str | Mapping[str, Any] | type[Strategy],
    network: Network,
    *,
    channels: int,
    classes: Sequence[str],
    patch_size: Sequence[int],
    seed: int = 0,
) -> Strategy:
    """Return a strategy with new networks, for a loop of your own: its losses, state and prediction, nothing else.

    In the loop, for each step: run backward on each of ``strategy.losses(Batch.of(images, labels, unlabeled),
    Step.of(index, total))``, step the optimizers, then call ``strategy.after_step``. With ``whole_batch`` losses are of
    the whole batch; a strategy with several ``stages`` leaves their resets and pseudo-labels to the loop.

    Args:
        strategy: its name; its name and options, such as ``{"name": "cps", "phi": 1.5}``, with ``preset`` as in a
            recipe; or a class.
        network: of each role: a backbone by name, with options, or as an object; or a function that returns a new
            network (B, channels, \\*patch_size) → logits (B, K, \\*patch_size). The function draws its own weights,
            from torch's default generator, which is seeded for each role.
        channels: number of input channels.
        classes: names by class index, background first.
        patch_size: of the samples, in voxels; two or three sides.
        seed: of the weights.

    Raises:
        RecipeError: an unknown name or option; a backbone without a capability that the strategy requires.
        ArgumentError: a task for which there can be no networks: a patch without two or three sides, a single class.
    """
    given = network if isinstance(network, str | Mapping | Backbone) else _Given(network)
    found = find_all({"strategy": strategy, "backbone": given}, lambda key: "")
    chosen = found[("strategy",)]
    roles = chosen.component.roles(chosen.options)
    backbones = backbones_of(roles, found)
    task = Task(channels, tuple(classes), tuple(patch_size))
    raise_all(_task_problems(task, chosen.component, backbones), ArgumentError)
    return build_strategy(chosen.component, chosen.options, roles, backbones, task, seed)


def _task_problems(task: Task, strategy: type[Strategy], backbones: Mapping[str, Backbone]) -> list[Problem]:
    """Return why networks cannot be made for a task; only one reason for each role."""
    sides = task.patch_size
    problems = []
    if len(sides) not in {2, 3} or min(sides) < 1:
        problems.append(Problem("patch_size", f"{sides} are not two or three sides above 0", "Give voxels."))
    if len(task.classes) < 2:
        problems.append(Problem("classes", f"{list(task.classes)} are too few", "Name background and one more."))
    if task.in_channels < 1:
        problems.append(Problem("channels", f"there are {task.in_channels}", "Give at least 1."))
    if problems:
        return problems
    if len(sides) not in strategy.spatial_dims:
        problems.append(Problem("strategy", f"{strategy.__name__} does not support {len(sides)} axes"))
    for role, backbone in backbones.items():
        if len(sides) not in backbone.spatial_dims:
            problems.append(Problem(f"role {role}", f"{type(backbone).__name__} does not support {len(sides)} axes"))
        else:
            wrong = backbone.patch_problems(task)
            problems += [Problem(f"role {role}", text, "Choose another patch_size.") for text in wrong]
    return problems
