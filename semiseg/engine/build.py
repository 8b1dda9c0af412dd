"""A strategy with networks for its roles, each drawn from its own seed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from semiseg.errors import ComponentError, RecipeError
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.strategy import Role, Strategy
from semiseg.seeding import derive_seed
from semiseg.types import Task


def build_networks(
    roles: Sequence[Role], backbones: Mapping[str, Backbone], task: Task, seed: int, stage: int = 0
) -> dict[str, nn.Module]:
    """One network a role. Its weights depend on (seed, stage, role name) alone, not on the other roles.

    A role that names ``initialized_like`` starts as a copy of that role; one that is not trained has no gradients.
    The caller's random state is left as it was.
    """
    networks: dict[str, nn.Module] = {}
    for role in roles:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(seed, "init", stage, role.name))
            networks[role.name] = role.build(backbones[role.name], task)
    for role in roles:
        if role.initialized_like is not None:
            networks[role.name].load_state_dict(networks[role.initialized_like].state_dict())
        networks[role.name].requires_grad_(role.trained)
    return networks


def build_strategy(
    cls: type[Strategy], options: Any, roles: Sequence[Role], backbones: Mapping[str, Backbone], task: Task, seed: int
) -> Strategy:
    """The strategy with new networks. Raises ComponentError where it has parameters that nothing would train."""
    strategy = cls(options, build_networks(roles, backbones, task, seed))
    require_trained_in_networks(strategy)
    return strategy


def require_trained_in_networks(strategy: Strategy) -> None:
    """Raise ComponentError where a parameter that requires a gradient is in none of the networks.

    Gradients and optimizers are the roles': it would stay as it was drawn, and no one would be told.
    """
    in_networks = {id(parameter) for parameter in strategy.networks.parameters()}
    own = [name for name, p in strategy.named_parameters() if p.requires_grad and id(p) not in in_networks]
    if own:
        raise ComponentError(
            f"Strategy {type(strategy).__name__} has parameters that nothing trains, in no role's network:"
            f" {', '.join(own)}.",
            "Make them part of a role's network, by Role.network; what is not to be trained is a buffer, or has"
            " requires_grad=False.",
        )


def compile_networks(networks: Iterable[nn.Module], device: torch.device) -> None:
    """Have networks compiled by torch.compile, in place: the names in their state stay what they were.

    They are compiled at their first forward, and once more for other sizes of the batch. What of a network cannot be
    compiled runs as it is. Raises RecipeError where torch cannot compile for the device at all.
    """
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(8, device=device))
    except Exception as error:  # the compilers' errors have no class in common
        first, *_ = str(error).strip().splitlines() or [type(error).__name__]
        raise RecipeError(
            f"training.compile is true, but torch cannot compile for the {device.type} here: {first}",
            "Set training.compile=false, or install what is missing (a C++ compiler; for a GPU, Triton).",
        ) from error
    for network in networks:
        network.compile()
