"""One training step: a strategy's losses, their gradients, and the optimizers' update."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch.optim import Optimizer

from semiseg.engine.gradients import share_buffers, sum_gradients
from semiseg.engine.runtime import Runtime
from semiseg.errors import TrainingError
from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.strategy import Losses, Strategy
from semiseg.seeding import derive_seed


class StepRunner:
    """Runs a strategy's steps. ``optimizers`` has one for each trained role; the scaler updates once a step."""

    def __init__(self, strategy: Strategy, optimizers: Mapping[str, Optimizer], runtime: Runtime) -> None:
        self.strategy = strategy
        self.optimizers = dict(optimizers)
        self.runtime = runtime
        self.scaler = torch.amp.GradScaler(runtime.device.type, enabled=runtime.precision == "fp16")
        self._step: Step | None = None
        self._passes: Counter[str] = Counter()
        strategy.attach(self._around)

    @contextmanager
    def _around(self, role: str) -> Iterator[None]:
        # Outside a step (prediction) networks are in eval mode and draw nothing.
        if self._step is not None:
            at = self._step
            self._passes[role] += 1
            torch.manual_seed(derive_seed(at.seed, "network", at.index, self.runtime.rank, role, self._passes[role]))
        with self.runtime.autocast():
            yield

    def __call__(self, batch: Batch, step: Step) -> dict[str, float]:
        """Run one step; returns the summed loss and its parts. Raises TrainingError where the loss is not finite.

        Weights are as before the step where it raises.
        """
        self.strategy.train()
        self._step, self._passes = step, Counter()
        totals: dict[str, float] = {}
        try:
            for optimizer in self.optimizers.values():
                optimizer.zero_grad(set_to_none=True)
            for losses in self.strategy.losses(batch, step):
                self._backward(losses, batch, step, totals)
                if losses.step_now:
                    self._update(self._roles(losses))
            self._update(set(self.optimizers))
            self.scaler.update()
            with torch.no_grad():
                self.strategy.after_step(step)
            share_buffers(self.strategy, self.runtime)
        finally:
            self._step = None
        return totals

    def _roles(self, losses: Losses) -> set[str]:
        return set(self.optimizers if losses.updates is None else losses.updates)

    def _backward(self, losses: Losses, batch: Batch, step: Step, totals: dict[str, float]) -> None:
        names = ["loss", *losses.parts]
        values = torch.stack([v.detach().float() for v in (losses.total, *losses.parts.values())])
        for name, value in zip(names, self.runtime.sum(values).tolist(), strict=True):
            totals[name] = totals.get(name, 0.0) + value
        if not all(map(_finite, totals.values())):
            raise TrainingError(self._not_finite(batch, step, totals), _NOT_FINITE_FIX)
        inputs = [p for role in sorted(self._roles(losses)) for p in self._parameters(role)]
        self.scaler.scale(losses.total).backward(inputs=inputs)

    def _parameters(self, role: str) -> list[nn.Parameter]:
        return [p for p in self.strategy.networks[role].parameters() if p.requires_grad]

    def _update(self, roles: set[str]) -> None:
        for role in sorted(roles):
            parameters = self._parameters(role)
            sum_gradients(parameters, self.runtime)
            if any(p.grad is not None for p in parameters):
                self.scaler.step(self.optimizers[role])
            self.optimizers[role].zero_grad(set_to_none=True)

    def _not_finite(self, batch: Batch, step: Step, totals: Mapping[str, float]) -> str:
        cases = [*batch.labeled.cases, *batch.unlabeled.cases]
        gathered = [case for part in self.runtime.gather(cases) for case in part]
        bad = ", ".join(f"{name} = {value}" for name, value in totals.items() if not _finite(value))
        return f"Step {step.index} (epoch {step.epoch + 1}): {bad}. Cases of the batch: {', '.join(gathered)}."


_NOT_FINITE_FIX = (
    "The last good checkpoint is kept. Look at these cases, lower training.optimizer.lr, or set training.precision=32."
)


def _finite(value: float) -> bool:
    return value - value == 0.0
