"""One training step: a strategy's losses in the order of a step mode, their gradients, and the optimizer updates."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from semiseg.engine.collectives import alone, exchange, share_buffers, sum_gradients
from semiseg.engine.runtime import Runtime
from semiseg.engine.step_modes import StepMode, alternating, joint, micro_batches, split
from semiseg.errors import ComponentError, TrainingError
from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.co_training import CoTraining
from semiseg.interfaces.losses import Losses
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import Strategy
from semiseg.seeding import derive_seed


class StepRunner:
    """Runs a strategy's steps in a step mode.

    ``optimizers`` has one for each role that this process trains: in ``split`` its own, otherwise all trained ones. The
    scaler updates once per step. Processes share the batch, except in ``split``, where each has all of it.
    ``gradient_clip`` is the maximum norm of a network's gradient of the whole batch.
    """

    def __init__(
        self,
        strategy: Strategy,
        optimizers: Mapping[str, Optimizer],
        runtime: Runtime,
        mode: StepMode = StepMode(),  # noqa: B008 (frozen)
        gradient_clip: float | None = None,
    ) -> None:
        self.strategy = strategy
        self.optimizers = dict(optimizers)
        self.runtime = runtime
        self.mode = mode
        self.gradient_clip = gradient_clip
        self.scaler = torch.amp.GradScaler(runtime.device.type, enabled=runtime.precision == "fp16")
        self._is_split = mode.name == "split"
        self._sharing = alone(runtime) if self._is_split else runtime
        self._step: Step | None = None
        self._passes: Counter[str] = Counter()
        self._reports: dict[str, list[Tensor]] = {}
        self._largest: dict[str, Tensor] = {}
        strategy.attach(self._around)

    @contextmanager
    def _around(self, role: str) -> Iterator[None]:
        # Outside a step (prediction) networks are in eval mode and draw nothing.
        if self._step is not None:
            at = self._step
            self._passes[role] += 1
            torch.manual_seed(derive_seed(at.seed, "network", at.index, self._sharing.rank, role, self._passes[role]))
        with self.runtime.autocast():
            yield

    def __call__(self, batch: Batch, step: Step) -> dict[str, float]:
        """Run one step and return the summed loss and its parts.

        Raises TrainingError if the loss or a gradient is not finite, except for a gradient in fp16, where the scaler
        skips the update and lowers its scale. Weights are then as before the step, except for networks that
        ``alternating`` had already updated.
        """
        self.strategy.train()
        self._step, self._passes = step, Counter()
        totals: dict[str, float] = {}
        waiting: set[str] = set()
        try:
            for optimizer in self.optimizers.values():
                optimizer.zero_grad(set_to_none=True)
            for losses in self._losses(batch, step):
                self._require_trained(losses)
                self._require_divisible(losses)
                waiting |= self._backward(losses)
                if losses.step_now:
                    self._sum(self._roles(losses))
                    self._check(batch, step, totals)
                    self._update(self._roles(losses))
                    waiting -= self._roles(losses)
            self._sum(waiting)
            self._check(batch, step, totals)
            self._update(waiting)
            self.scaler.update()
            with torch.no_grad():
                self.strategy.after_step(step)
            share_buffers(self.strategy, self._sharing)
        finally:
            self._step = None
            self._reports.clear()
            self._largest.clear()
        return totals

    def _losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        parts = micro_batches(batch, self.mode.micro_batch, self.strategy.batch_needs(self.strategy.options))
        if self.mode.name == "joint":
            return joint(self.strategy, parts, step)
        strategy = cast(CoTraining, self.strategy)
        if self.mode.name == "alternating":
            return alternating(strategy, parts, step, self._rehearse)
        for role in self._foreign():
            strategy.networks[role].to("cpu")  # not read here until the next ``synchronize``
        (own,) = self.optimizers
        return split(strategy, parts, step, own, lambda label: exchange(label, self.runtime))

    def _require_trained(self, losses: Losses) -> None:
        """Raise ComponentError if a loss updates no role, or one that is not trained."""
        roles = self._roles(losses)
        if roles and roles <= set(self.optimizers):
            return
        others = ", ".join(sorted(map(repr, roles - set(self.optimizers)))) or "no role"
        raise ComponentError(
            f"Strategy {type(self.strategy).__name__} yields a loss that updates {others}.",
            f"Losses(updates=...) takes the trained roles: {', '.join(self.optimizers)}.",
        )

    def _require_divisible(self, losses: Losses) -> None:
        """Raise ComponentError for a loss that cannot be computed in parts, if the strategy does not declare that."""
        name = type(self.strategy).__name__
        if self.strategy.whole_batch:
            return
        if losses.of_whole_batch:
            raise ComponentError(
                f"Strategy {name} returns {', '.join(losses.of_whole_batch)} as a single number for the whole batch.",
                "Give one value per sample, Term(values, batch.labeled); or declare whole_batch = True, which excludes"
                " micro-batches and several processes.",
            )
        if losses.step_now and self.mode.name != "alternating":
            raise ComponentError(
                f"Strategy {name} steps an optimizer within a step (step_now).",
                "Declare whole_batch = True, which excludes micro-batches and several processes.",
            )

    def _rehearse(self, role: str, images: Tensor) -> Tensor:
        # The next forward pass repeats this one's random draws and counts: dropout masks and running statistics are as
        # if only that pass had run.
        buffers = list(self.strategy.networks[role].buffers())
        before = [buffer.clone() for buffer in buffers]
        with torch.no_grad():
            output = self.strategy.run(role, images)
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
        self._passes[role] -= 1
        return output

    def _foreign(self) -> list[str]:
        return [role for role in self.strategy.networks if role not in self.optimizers] if self._is_split else []

    def synchronize(self) -> None:
        """Give every process all networks, as ``split`` trained them; in other modes they are already there."""
        if self._is_split:
            (own,) = self.optimizers
            states = exchange(dict(self.strategy.networks[own].state_dict()), self.runtime)
            for (name, network), state in zip(self.strategy.networks.items(), states, strict=True):
                if name != own:
                    network.load_state_dict(state)

    def optimizer_states(self) -> dict[str, Any]:
        """Return the state of every role's optimizer, for a checkpoint; all processes have to call it."""
        states = {role: optimizer.state_dict() for role, optimizer in self.optimizers.items()}
        if self._is_split:
            shared = exchange(states, self.runtime, keep=lambda tensor: tensor.cpu())
            states = {role: state for part in shared for role, state in part.items()}
        return states

    def _roles(self, losses: Losses) -> set[str]:
        return set(self.optimizers if losses.updated is None else losses.updated)

    def _backward(self, losses: Losses) -> set[str]:
        total = losses.total
        for name, value in {"loss": total, **losses.parts}.items():
            self._reports.setdefault(name, []).append(value.detach().float())
        roles = self._roles(losses)
        inputs = [p for role in sorted(roles) for p in self._parameters(role)]
        self.scaler.scale(total).backward(inputs=inputs)
        return roles

    def _sum(self, roles: Iterable[str]) -> None:
        for role in sorted(roles):
            parameters = self._parameters(role)
            sum_gradients(parameters, self._sharing)
            gradients = [p.grad for p in parameters if p.grad is not None and p.numel()]
            if gradients and not self.scaler.is_enabled():
                # The largest magnitude is non-finite if any value is, and does not overflow.
                self._largest[role] = nn.utils.get_total_norm(gradients, math.inf).float()

    def _check(self, batch: Batch, step: Step, totals: dict[str, float]) -> None:
        """Add what was reported since the last check, over all processes, before it changes any weights.

        Losses and gradients are read together, so that there is only one device synchronization.
        """
        sums = [torch.stack(values).sum() for values in self._reports.values()]
        values = [*sums, *self._largest.values()]
        numbers = torch.stack(values).tolist() if values else []
        losses = dict(zip(self._reports, numbers[: len(sums)], strict=True))
        gradients = dict(zip(self._largest, numbers[len(sums) :], strict=True))
        self._reports.clear()
        self._largest.clear()
        bad: set[str] = set()
        for part, largest in self.runtime.gather((losses, gradients)):
            for name, value in part.items():
                totals[name] = totals.get(name, 0.0) + value
            bad |= {role for role, value in largest.items() if not math.isfinite(value)}
        if bad or not all(map(math.isfinite, totals.values())):
            raise TrainingError(self._not_finite(batch, step, totals, bad), _NOT_FINITE_FIX)

    def _parameters(self, role: str) -> list[nn.Parameter]:
        return [p for p in self.strategy.networks[role].parameters() if p.requires_grad]

    def _update(self, roles: set[str]) -> None:
        for role in sorted(roles):
            if any(p.grad is not None for p in self._parameters(role)):
                if self.gradient_clip is not None:  # of gradients that are finite, except with a scaler: it skips them
                    self.scaler.unscale_(self.optimizers[role])
                    nn.utils.clip_grad_norm_(self._parameters(role), self.gradient_clip)
                self.scaler.step(self.optimizers[role])
            self.optimizers[role].zero_grad(set_to_none=True)

    def _not_finite(self, batch: Batch, step: Step, totals: Mapping[str, float], roles: Iterable[str]) -> str:
        cases = [*batch.labeled.cases, *batch.unlabeled.cases]
        gathered = [case for part in self._sharing.gather(cases) for case in part]
        bad = [f"{name} = {value}" for name, value in totals.items() if not math.isfinite(value)]
        bad = bad or [f"the loss is finite, but the gradient of {' and '.join(sorted(roles))} is not"]
        return (
            f"Step {step.index} (epoch {step.epoch + 1}): {', '.join(bad)}. Cases of the batch: {', '.join(gathered)}."
        )


def trained_roles(strategy: Strategy, mode: StepMode, runtime: Runtime) -> list[Role]:
    """Return the roles that this process trains: all trained roles, or in ``split`` the one of its rank."""
    roles = strategy.roles(strategy.options)
    return [roles[runtime.rank]] if mode.name == "split" else [role for role in roles if role.trained]


_NOT_FINITE_FIX = (
    "The last good checkpoint is kept. Inspect these cases, lower training.optimizer.lr, or set training.precision=32."
)
