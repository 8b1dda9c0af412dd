"""Which step modes leave gradients and running statistics as the joint step has them, and why others do not."""

from collections.abc import Iterable, Mapping

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from semiseg.engine.modes import StepMode
from semiseg.interfaces.mutual import Mutual
from semiseg.interfaces.strategy import Strategy


def inexact(
    mode: StepMode, strategy: type[Strategy], networks: Mapping[str, nn.Module], batch: int, precision: str
) -> list[tuple[str, str]]:
    """Why a mode would not be the joint step on the whole batch.

    Args:
        mode: the mode with its micro-batch; None is the whole batch.
        strategy: a class with its ``exact``.
        networks: by role; they may be on the meta device.
        batch: samples of a step.
        precision: "32", "bf16" or "fp16".

    Returns:
        (what is to blame: "mode" or "micro_batch"; the reason in words) for each; empty where the mode is exact.
    """
    name = strategy.__name__
    found = []
    if mode.name != "joint" and not issubclass(strategy, Mutual):
        found.append(("mode", f"{name} is no strategy of networks that teach one another (Mutual)"))
    elif mode.name != "joint" and mode.name not in strategy.exact:
        found.append(("mode", f"{name} does not declare {mode.name} as exact"))
    if mode.name == "split" and precision == "fp16":
        found.append(("mode", "fp16 has one loss scale for all networks, which processes of their own do not share"))
    if mode.micro_batch is None or mode.micro_batch >= batch:
        return found
    if "micro_batch" not in strategy.exact:
        found.append(("micro_batch", f"the losses of {name} are not declared to add up over parts of a batch"))
    for group in (strategy.needs.labeled, strategy.needs.unlabeled):
        if group.uses and group.unit > mode.micro_batch:
            found.append(("micro_batch", f"{name} needs groups of {group.unit} samples together"))
    return found + [("micro_batch", text) for text in _coupled(networks)]


def unlike_one_process(networks: Mapping[str, nn.Module]) -> str:
    """Why processes that share a batch take another step than one that has all of it; empty where they do not.

    No fault: it is what data parallel training is with such networks, and its gradients are as good.
    """
    normalized, dropping = _coupling(networks)
    found = ["batch normalization sees each process's own samples"] if normalized else []
    found += ["dropout draws other masks"] if dropping else []
    return f"{' and '.join(found)}: not the same step as in one process" if found else ""


def _coupling(networks: Mapping[str, nn.Module]) -> tuple[list[str], list[str]]:
    """The roles whose network has batch normalization, and those whose network has dropout."""
    normalized = [role for role, net in networks.items() if any(isinstance(m, _BatchNorm) for m in net.modules())]
    return normalized, [role for role, net in networks.items() if any(map(_drops, net.modules()))]


def _coupled(networks: Mapping[str, nn.Module]) -> Iterable[str]:
    normalized, dropping = _coupling(networks)
    if normalized:
        yield f"batch normalization takes its statistics over the whole batch (network of {', '.join(normalized)})"
    if dropping:
        yield f"dropout draws other masks for parts of a batch (network of {', '.join(dropping)})"


def _drops(module: nn.Module) -> bool:
    return isinstance(module, _DropoutNd) and module.p > 0
