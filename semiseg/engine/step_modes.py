"""Step modes: the order of micro-batches and networks within a step, and the strategies for which each is exact."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from semiseg.errors import ComponentError
from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.co_training import CoTraining, of_peers
from semiseg.interfaces.losses import Losses
from semiseg.interfaces.strategy import BatchNeeds, Strategy


def micro_batches(batch: Batch, size: int | None, needs: BatchNeeds) -> list[Batch]:
    """Divide the batch into parts of at most ``size`` samples, with labeled and unlabeled ones spread evenly over them.

    Counts remain those of the whole step, so that the parts' losses add up to the batch's. Samples that a strategy
    needs together stay together; a part exceeds ``size`` if a single group does. If None, return the batch as it is.
    """
    if size is None or len(batch.labeled) + len(batch.unlabeled) <= size:
        return [batch]
    # Groups by their relative position in their stream, from 0 to 1: 4 labeled and 2 unlabeled become l l u l l u.
    groups = sorted(
        ((start + unit) / length, stream, min(unit, length - start))
        for stream, length, unit in (
            (0, len(batch.labeled), needs.labeled.unit),
            (1, len(batch.unlabeled), needs.unlabeled.unit),
        )
        for start in range(0, length, unit)
    )
    counts = [[0, 0]]
    for _, stream, samples in groups:
        if sum(counts[-1]) > 0 and sum(counts[-1]) + samples > size:
            counts.append([0, 0])
        counts[-1][stream] += samples
    parts, labeled, unlabeled = [], 0, 0
    for n_labeled, n_unlabeled in counts:
        parts.append(batch.part(slice(labeled, labeled + n_labeled), slice(unlabeled, unlabeled + n_unlabeled)))
        labeled, unlabeled = labeled + n_labeled, unlabeled + n_unlabeled
    return parts


ModeName = Literal["joint", "alternating", "split"]


@dataclass(frozen=True, slots=True)
class StepMode:
    """A mode and the number of samples per process in memory at once; None means all."""

    name: ModeName = "joint"
    micro_batch: int | None = None

    def __str__(self) -> str:
        part = "on the whole batch" if self.micro_batch is None else f"by micro-batches of {self.micro_batch}"
        return f"{self.name} {part}"


def joint(strategy: Strategy, parts: Sequence[Batch], step: Step) -> Iterator[Losses]:
    """Yield the strategy's own losses, part by part."""
    for part in parts:
        found = strategy.losses(part, step)
        if isinstance(found, Losses):
            what = f"Strategy {type(strategy).__name__} returns its Losses."
            raise ComponentError(what, "Use `yield Losses(…)`: a step may have several.")
        yield from found


def alternating(
    strategy: CoTraining, parts: Sequence[Batch], step: Step, rehearse: Callable[[str, Tensor], Tensor]
) -> Iterator[Losses]:
    """Train one network after another; each is updated and its gradients are freed before the next one's turn.

    Every pseudo-label is made before the first update: the first network's from its forward pass with gradient, the
    others' from ``rehearse`` (role, images), a forward pass without gradient that the one with gradient repeats
    exactly. If pseudo-labels use separate images, no forward pass is added.
    """
    roles = list(strategy.networks)
    needed = strategy.uses_pseudo_labels(step)
    pseudo_labels = [_early_pseudo_labels(strategy, part, step, rehearse) if needed else {} for part in parts]
    for role in roles:
        for number, (part, given) in enumerate(zip(parts, pseudo_labels, strict=True), 1):
            output = strategy.student_output(role, strategy.student_images(part, step))
            if needed and role not in given:
                given[role] = strategy.detached_pseudo_label(role, output, part)
            losses = strategy.loss(role, output, of_peers(given, role), part, step)
            del output  # frees memory for the next forward pass
            yield replace(losses, updates=frozenset({role}), step_now=number == len(parts))


def _early_pseudo_labels(
    strategy: CoTraining, part: Batch, step: Step, rehearse: Callable[[str, Tensor], Tensor]
) -> dict[str, Any]:
    students = strategy.student_images(part, step)
    teachers = strategy.teacher_images(part, students, step)
    apart = teachers is not students
    roles = list(strategy.networks)
    if not apart:  # the first network's comes from its forward pass with gradient
        return {role: strategy.detached_pseudo_label(role, rehearse(role, teachers), part) for role in roles[1:]}
    seen = ((role, strategy.forward_no_grad(role, teachers)) for role in roles)
    return {role: strategy.detached_pseudo_label(role, output, part) for role, output in seen}


def split(
    strategy: CoTraining, parts: Sequence[Batch], step: Step, own: str, exchange: Callable[[Any], Sequence[Any]]
) -> Iterator[Losses]:
    """Train this process's own network; ``exchange`` sends its pseudo-label and returns those of all, in role order."""
    needed = strategy.uses_pseudo_labels(step)
    for part in parts:
        students = strategy.student_images(part, step)
        teachers = strategy.teacher_images(part, students, step) if needed else students
        pseudo_label = None
        if teachers is not students:
            pseudo_label = strategy.detached_pseudo_label(own, strategy.forward_no_grad(own, teachers), part)
        output = strategy.student_output(own, students)
        if needed and teachers is students:
            pseudo_label = strategy.detached_pseudo_label(own, output, part)
        pseudo_labels = dict(zip(strategy.networks, exchange(pseudo_label), strict=True)) if needed else {}
        losses = strategy.loss(own, output, of_peers(pseudo_labels, own), part, step)
        del output, students, teachers  # frees memory for the next part
        yield replace(losses, updates=frozenset({own}))


def inexact(
    mode: StepMode,
    strategy: type[Strategy],
    networks: Mapping[str, nn.Module],
    batch: int,
    precision: str,
    batch_dice: bool = False,
    needs: BatchNeeds | None = None,
) -> list[tuple[str, str]]:
    """Return why a mode would differ from the joint step on the whole batch.

    Args:
        mode: the mode with its micro-batch; None is the whole batch.
        strategy: its class.
        networks: by role; may be on the meta device.
        batch: samples per step.
        precision: "32", "bf16" or "fp16".
        batch_dice: Dice losses are of the whole batch.
        needs: what the strategy needs with its options; None for its ``needs``.

    Returns:
        (cause: "mode" or "micro_batch"; reason as text) for each; empty if the mode is exact.
    """
    name = strategy.__name__
    found = []
    if mode.name != "joint" and not issubclass(strategy, CoTraining):
        found.append(("mode", f"{name} is not a co-training strategy (CoTraining)"))
    elif mode.name != "joint" and mode.name not in strategy.exact:
        found.append(("mode", f"{name} does not declare {mode.name} as exact"))
    if mode.name == "split" and precision == "fp16":
        found.append(("mode", "fp16 uses one loss scale for all networks, which separate processes cannot share"))
    if mode.micro_batch is None or mode.micro_batch >= batch:
        return found
    if strategy.whole_batch:
        found.append(("micro_batch", f"{name} has losses of the whole batch, which parts do not add up to"))
    elif batch_dice:
        found.append(("micro_batch", "training.dice.batch takes the Dice loss of the whole batch"))
    needs = needs or strategy.needs
    for group in (needs.labeled, needs.unlabeled):
        if group.uses and group.unit > mode.micro_batch:
            found.append(("micro_batch", f"{name} needs groups of {group.unit} samples together"))
    return found + [("micro_batch", text) for text in _coupled(networks)]


def unlike_one_process(networks: Mapping[str, nn.Module]) -> str:
    """Return why processes that share a batch take a different step than one with all of it; empty if they do not.

    This is no error: data-parallel training with such networks works this way, and its gradients are as good.
    """
    normalized, dropping = _coupling(networks)
    found = ["batch normalization sees each process's own samples"] if normalized else []
    found += ["dropout draws different masks"] if dropping else []
    return f"{' and '.join(found)}: not the same step as in one process" if found else ""


def _coupling(networks: Mapping[str, nn.Module]) -> tuple[list[str], list[str]]:
    """Return the roles whose network has batch normalization, and those whose network has dropout."""
    normalized = [role for role, net in networks.items() if any(isinstance(m, _BatchNorm) for m in net.modules())]
    return normalized, [role for role, net in networks.items() if any(map(_drops, net.modules()))]


def _coupled(networks: Mapping[str, nn.Module]) -> Iterable[str]:
    normalized, dropping = _coupling(networks)
    if normalized:
        yield f"batch normalization takes its statistics over the whole batch (network of {', '.join(normalized)})"
    if dropping:
        yield f"dropout draws different masks for parts of a batch (network of {', '.join(dropping)})"


def _drops(module: nn.Module) -> bool:
    return isinstance(module, _DropoutNd) and module.p > 0
