"""The step mode of a recipe: problems, open choices, and the selection."""

from dataclasses import replace
from functools import cached_property

import torch
from torch.optim import Optimizer

from semiseg.data.batches import largest_share, n_groups
from semiseg.data.draws import Counts
from semiseg.engine.collectives import alone
from semiseg.engine.memory import (
    MemoryEstimate,
    NetworkMemory,
    device_memory,
    estimate_memory,
    memory_room,
)
from semiseg.engine.optim import make_optimizers
from semiseg.engine.precision import bf16_problems
from semiseg.engine.probe import Measured, noise_batch, probe
from semiseg.engine.runtime import Runtime, accelerator, precision_on
from semiseg.engine.step_mode_choice import StepModeChoice, candidates, choose
from semiseg.engine.step_modes import StepMode, inexact, unlike_one_process
from semiseg.errors import Problem, RecipeError, raise_all
from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.strategy import Strategy
from semiseg.pipeline.plan import Plan
from semiseg.pipeline.plan_values import measured_networks


def process_problems(plan: Plan, world: int) -> list[Problem]:
    """Return problems if split mode lacks one process per network, or if processes cannot share the batch."""
    roles = [role.name for role in plan.components.roles]
    if plan.recipe.training.step.mode != "split":
        return _sharing_problems(plan, world) if world > 1 else []
    if world == len(roles):
        return []
    what = f"training.step.mode is split, which needs {len(roles)} processes, one per network ({', '.join(roles)})"
    return [Problem("", f"{what}; there {'is' if world == 1 else 'are'} {world}.", f"Start it with {launch(plan)}.")]


def _sharing_problems(plan: Plan, world: int) -> list[Problem]:
    strategy = plan.components.strategy
    if _needs_whole_batch(plan):
        whose = f"the losses of {strategy.__name__}" if strategy.whole_batch else "training.dice.batch: Dice losses"
        what = f"{whose} need the whole batch, which {world} processes cannot share"
        return [Problem("", f"{what}.", "Start a single process.")]
    needs = plan.components.needs
    counts = min(plan.draws.kinds, key=lambda one: (n_groups(one, needs), -one.unlabeled))
    groups = n_groups(counts, needs)
    if world <= groups:
        return []
    # More than a waste: a network may not accept the empty batch of a process without samples.
    samples = f"{counts.labeled} labeled and {counts.unlabeled} unlabeled samples"
    together = "" if groups == counts.total else f", some of which must stay together ({groups} groups)"
    what = f"a step has {samples}{together}: {world - groups} of {world} processes would have none"
    most = "one process" if groups == 1 else f"at most {groups} processes"
    fix = f"Start {most}, or increase training.batch_size."
    return [Problem(plan.recipe.where("training.batch_size"), f"{what}.", fix)]


def require_machine(plan: Plan, runtime: Runtime) -> None:
    """Raise RecipeError, with all reasons, if training with this recipe would be wrong on this machine."""
    unfit = bf16_problems(runtime.device, plan.task.spatial_dims) if runtime.precision == "bf16" else []
    raise_all([*process_problems(plan, runtime.world), *unfit], RecipeError)


def launch(plan: Plan) -> str:
    """Return the command that starts a run in split mode."""
    return f"torchrun --nproc-per-node {len(plan.components.roles)} -m semiseg.cli.main run RECIPE -o DIR"


class OpenModes:
    """The step modes that a plan leaves open, fastest first, and their memory.

    ``share``: labeled and unlabeled samples of the process, of ``world``, that has most, in a step that draws most,
    ``whole``. ``batch``: their sum.
    """

    def __init__(self, plan: Plan, world: int) -> None:
        training, components = plan.recipe.training, plan.components
        self.sharing = 1 if training.step.mode == "split" else world
        shares = [(largest_share(counts, components.needs, self.sharing), counts) for counts in plan.draws.kinds]
        self.share, self.whole = max(shares, key=lambda one: (one[0].total, one[0].unlabeled))
        self.batch = self.share.total
        self._plan = plan
        self._networks = plan.networks()
        precision = precision_on(training.precision, accelerator(training.device))

        def is_exact(mode: StepMode) -> bool:
            batch_dice = training.dice.batch
            needs = components.needs
            return not inexact(mode, components.strategy, self._networks, self.batch, precision, batch_dice, needs)

        self.modes = candidates(training.step, self.batch, is_exact)

    @cached_property
    def memory(self) -> list[NetworkMemory]:
        """The memory of each network."""
        return measured_networks(self._plan.recipe, self._plan.components, self._networks, self._plan.task)

    @property
    def note(self) -> str:
        """The effect of sharing a batch on the step; empty if the step equals that of a single process."""
        return unlike_one_process(self._networks) if self.sharing > 1 else ""

    def estimate(self, mode: StepMode) -> int:
        """Return the bytes of a step in float32."""
        return estimate_memory(self.memory, self._plan.task, mode, self.batch).total


def forecast(plan: Plan) -> tuple[StepModeChoice, MemoryEstimate]:
    """Return the choice for one process by the memory formula alone, and its memory."""
    found = OpenModes(plan, world=1)
    choice = choose(found.modes, found.estimate, memory_room(accelerator(plan.recipe.training.device)))
    return choice, estimate_memory(found.memory, plan.task, choice.mode, found.batch)


def memory_problems(plan: Plan, memory: MemoryEstimate) -> list[Problem]:
    """Return problems if a step does not fit into the memory of this machine's training device.

    ``memory`` is from ``forecast``: if it is too much, no mode that the recipe leaves open takes less. Several GPUs
    share a batch.
    """
    kind = accelerator(plan.recipe.training.device)
    there = device_memory(kind)
    if there is None or _needed(plan, memory, kind) <= there:
        return []
    world = min(torch.cuda.device_count(), _most_processes(plan)) if kind == "cuda" else 1
    if world > 1:
        found = OpenModes(plan, world)
        shared = [estimate_memory(found.memory, plan.task, mode, found.batch) for mode in found.modes]
        if min(_needed(plan, estimate, kind) for estimate in shared) <= there:
            return []
    key = plan.recipe.where("training.patch_size")
    patch, needed = " x ".join(map(str, plan.task.patch_size)), _gib(_needed(plan, memory, kind))
    what = (
        f"a training step needs about {needed} of memory, {_gib(memory.activations)} in float32 for the activations of"
        f" patches of {patch} voxels, but {'the GPU' if kind == 'cuda' else 'this machine'} has {_gib(there)}"
    )
    return [Problem(key, what, _memory_fix(plan, kind))]


def _most_processes(plan: Plan) -> int:
    needs = plan.components.needs
    return 1 if _needs_whole_batch(plan) else min(n_groups(counts, needs) for counts in plan.draws.kinds)


def _needs_whole_batch(plan: Plan) -> bool:
    return plan.components.strategy.whole_batch or plan.recipe.training.dice.batch


def _needed(plan: Plan, memory: MemoryEstimate, kind: str) -> int:
    """Return the bytes of a step in the run's precision: in half precision, activations take half."""
    half = precision_on(plan.recipe.training.precision, kind) != "32"
    return memory.total - (memory.activations // 2 if half else 0)


def _memory_fix(plan: Plan, kind: str) -> str:
    training = plan.recipe.training
    ways = ["a smaller training.patch_size or backbone"]
    if (training.step.mode, training.step.micro_batch) != ("auto", "auto"):
        ways.append("training.step.mode=auto with training.step.micro_batch=auto")
    if plan.sizes.largest > 1 and not any(mode.micro_batch == 1 for mode in OpenModes(plan, 1).modes):
        ways.append("a smaller training.batch_size")
    if kind == "cuda" and precision_on(training.precision, kind) == "32":
        ways.append("training.precision=bf16")
    return f"Use {', or '.join(ways)}. If you will train on another machine, run the check there."


def _gib(count: int) -> str:
    return f"{count / 2**30:.3g} GiB"


class NoiseTrial:
    """Tries steps of a plan on noise, in a given mode and with fresh optimizers, and restores the strategy.

    ``late`` is the step that is tried, ``whole`` the samples of the whole step, ``share`` those of this process.
    """

    def __init__(
        self, plan: Plan, strategy: Strategy, late: Step, runtime: Runtime, whole: Counts, share: Counts
    ) -> None:
        self._plan, self._strategy, self._late, self._runtime = plan, strategy, late, runtime
        self._whole, self._share = whole, share

    def __call__(self, mode: StepMode) -> Measured | None:
        """Return time and memory of a step; None if memory ran out."""
        return probe(self._strategy, self._optimizers, self._runtime, mode, self._batch, self._late)

    @cached_property  # targets computed from labels may take a while
    def _batch(self) -> Batch:
        strategy, whole = self._strategy, self._whole
        predicted = next(stage.pseudo_labels for stage in strategy.stages() if stage.name == self._late.stage)
        needs, has_ignored = strategy.batch_needs(strategy.options), self._plan.info.has_ignored
        pseudo = predicted or needs.external_pseudo
        made = noise_batch(self._plan.task, *self._share, self._runtime.device, needs.targets, pseudo, has_ignored)
        if not predicted and self._plan.pseudo is not None:
            may_ignore = has_ignored or self._plan.pseudo.threshold is not None
            made = replace(made, unlabeled=replace(made.unlabeled, has_ignored=may_ignore))
        # Counts are of the whole step: losses divide by a stream's count, and a share may have no samples of it.
        labeled, unlabeled = replace(made.labeled, count=whole.labeled), replace(made.unlabeled, count=whole.unlabeled)
        return Batch(labeled, unlabeled)

    def _optimizers(self) -> dict[str, Optimizer]:
        roles = [role for role in self._plan.components.roles if role.trained]
        return make_optimizers(self._plan.recipe.training.optimizer, self._strategy.networks, roles)


def choose_step_mode(plan: Plan, strategy: Strategy, late: Step, runtime: Runtime) -> StepModeChoice:
    """Choose the step mode of a new run, the same in all processes; on a GPU by trial.

    Trials run ``late``, a step at which all losses are active. In a deterministic run the estimate decides, since
    timings vary; likewise in split mode, where one process cannot try a step alone.
    """
    found, training = OpenModes(plan, runtime.world), plan.recipe.training
    trial = NoiseTrial(plan, strategy, late, alone(runtime), found.whole, found.share)
    by_trial = not training.deterministic and training.step.mode != "split"
    rooms = runtime.gather(memory_room(runtime.device.type, runtime.device))
    choice: StepModeChoice = runtime.broadcast(
        choose(
            found.modes,
            found.estimate,
            None if None in rooms else min(rooms),
            trial if by_trial else None,
            sees_memory=by_trial and runtime.device.type == "cuda",
        )
    )
    return replace(choice, reason=f"{choice.reason}; {found.note}") if found.note else choice
