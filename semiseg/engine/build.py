"""Building a strategy with a network for each role, each initialized from its own seed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from semiseg.codings.of_task import coding_of
from semiseg.errors import ComponentError, RecipeError
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import Strategy
from semiseg.losses.dice_form import MONAI, DiceForm
from semiseg.messages import some
from semiseg.seeding import derive_seed
from semiseg.types import Task


def build_networks(
    roles: Sequence[Role],
    backbones: Mapping[str, Backbone],
    task: Task,
    seed: int,
    stage: int = 0,
    initial_weights: bool = True,
) -> dict[str, nn.Module]:
    """Build one network per role. Its weights depend only on (seed, stage, role name), not on the other roles.

    A role with ``initial_weights`` then takes these, unless ``initial_weights`` is False (weights from a checkpoint
    follow). A role that names ``initialized_like`` starts as a copy of that role; an untrained role has no gradients.
    The caller's random state is preserved. Raises ComponentError for initial weights that do not fit.
    """
    networks: dict[str, nn.Module] = {}
    for role in roles:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(seed, "init", stage, role.name))
            networks[role.name] = role.build(backbones.get(role.name), task)
        if initial_weights and role.initial_weights is not None:
            _load(role.initial_weights(), networks[role.name], role.name)
    for role in roles:
        if role.initialized_like is not None:
            networks[role.name].load_state_dict(networks[role.initialized_like].state_dict())
        networks[role.name].requires_grad_(role.trained)
    return networks


def _load(weights: Mapping[str, Tensor], network: nn.Module, role: str) -> None:
    own = {name: value.shape for name, value in network.state_dict().items()}
    wrong = [
        f"{name} {tuple(value.shape)}" + (f", which is {tuple(own[name])} here" if name in own else "")
        for name, value in weights.items()
        if own.get(name) != value.shape
    ]
    if wrong:
        raise ComponentError(
            f"The initial weights of role {role} do not fit its network: {some(wrong, 4)}.",
            "They are named as in its state dict; leave out what the network does not have.",
        )
    network.load_state_dict(weights, strict=False)


def build_strategy(
    cls: type[Strategy],
    options: Any,
    roles: Sequence[Role],
    backbones: Mapping[str, Backbone],
    task: Task,
    seed: int,
    initial_weights: bool = True,
    dice: DiceForm = MONAI,
) -> Strategy:
    """Build the strategy with new networks, and Dice losses in a form.

    Raises ComponentError if it has parameters that nothing would train.
    """
    strategy = cls(options, build_networks(roles, backbones, task, seed, initial_weights=initial_weights))
    strategy.coding = coding_of(task, dice)
    require_trained_in_networks(strategy)
    return strategy


def require_trained_in_networks(strategy: Strategy) -> None:
    """Raise ComponentError if a parameter that requires a gradient belongs to none of the networks.

    Gradients and optimizers exist per role, so such a parameter would silently keep its initial value.
    """
    in_networks = {id(parameter) for parameter in strategy.networks.parameters()}
    own = [name for name, p in strategy.named_parameters() if p.requires_grad and id(p) not in in_networks]
    if own:
        raise ComponentError(
            f"Strategy {type(strategy).__name__} has parameters outside its roles' networks, which no optimizer trains:"
            f" {', '.join(own)}.",
            "Make them part of a role's network, by Role.network; what is not to be trained is a buffer, or has"
            " requires_grad=False.",
        )


def compile_networks(networks: Iterable[nn.Module], device: torch.device) -> None:
    """Compile networks in place with torch.compile; the names in their state dicts do not change.

    Compilation happens at the first forward pass, and once more for other batch sizes. Parts that cannot be compiled
    run uncompiled. Raises RecipeError if torch cannot compile for the device at all.
    """
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(8, device=device))
    except Exception as error:  # the compilers' errors have no common base class
        first, *_ = str(error).strip().splitlines() or [type(error).__name__]
        raise RecipeError(
            f"training.compile is true, but torch cannot compile for the {device.type} here: {first}",
            "Set training.compile=false, or install what is missing (a C++ compiler; for a GPU, Triton).",
        ) from error
    for network in networks:
        network.compile()
