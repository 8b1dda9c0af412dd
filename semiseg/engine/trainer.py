"""The training loop: steps, epochs, validation, and a state from which it resumes bit for bit."""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import torch
from torch.optim import Optimizer

from semiseg.engine.averages import Averages
from semiseg.engine.memory import STEP_FIX, VALIDATION_FIX, StepMemory, raising_on_oom
from semiseg.engine.optim import make_optimizers, options_of, rate_at
from semiseg.engine.schedule import StageSpan
from semiseg.engine.step import StepRunner, trained_roles
from semiseg.engine.step_mode_choice import StepModeChoice
from semiseg.engine.training_setup import TrainingSetup
from semiseg.engine.validation import Validate, ValidationScore
from semiseg.errors import Interrupted, RunError
from semiseg.interfaces.batch import Batch
from semiseg.losses.dice_kernels import verdicts
from semiseg.progress import Meter
from semiseg.recipe import schema
from semiseg.runs.checkpoint import Checkpoints, require_finite, snapshot_file
from semiseg.runs.fitting import fitting
from semiseg.runs.log import JsonLog
from semiseg.runs.status_lines import StatusLines
from semiseg.signals import StopRequests

FORMAT = 2


class Trainer:
    """Trains a strategy in a run folder, resuming from its newest checkpoint if it has one."""

    def __init__(self, parts: TrainingSetup, options: schema.Training) -> None:
        self.parts, self.options = parts, options
        self.runtime, self.timetable = parts.runtime, parts.timetable
        self.strategy = parts.strategy.to(parts.runtime.device)
        self.averages = Averages(self.strategy, options.ema)
        self.checkpoints = Checkpoints(parts.folder / "checkpoints", parts.reporter.say, parts.model)
        self.log = JsonLog(parts.folder / "log.jsonl", parts.reporter.say)
        self.told = StatusLines(parts.timetable.epochs, parts.reporter)
        self.step_memory = StepMemory(parts.runtime.device)
        self.done = 0
        self.closed_epochs = 0
        self.best: dict[str, float] | None = None
        self.sums: dict[str, float] = {}
        self.seconds = self.waited = 0.0
        self._saved_at = time.monotonic()
        self._saved = (-1, -1)
        roles = parts.strategy.roles(parts.strategy.options)
        self._rates = {role.name: options_of(role, options.optimizer).lr for role in roles}
        self._stop = StopRequests()
        self._log_size = 0

    def fit(self) -> None:
        """Train to the end and leave ``best`` and ``last`` in the checkpoints folder.

        Raises Interrupted after a signal, with the state saved; TrainingError if losses, gradients or weights are not
        finite.
        """
        verdicts()  # discards those of an earlier run
        self._restore()
        total = self.timetable.total
        with self._stop, self.parts.reporter.work("training", total, self.done, "step") as meter:
            with raising_on_oom(self.runtime.device, STEP_FIX):
                self._train(meter)
            self._save()
            self._collect()
            with self.averages.in_use():
                for name in ("last", "best") if self.parts.validate is None else ("last",):
                    self._save_weights(name)
            if self.runtime.is_main:
                self.told.end(self.log.read())
            self.runtime.barrier()

    def _train(self, meter: Meter) -> None:
        """Run all remaining stages, each with its own batches."""
        self._close_epoch_if_due(meter)
        for number, span in enumerate(self.timetable.spans):
            if span.stop <= self.done:
                continue
            self._enter_stage(number, span)
            with closing(self.parts.batches.steps(self.done, span.stop)) as batches:  # type: ignore[type-var]
                for _ in range(self.done, span.stop):
                    self._one_step(self._next(batches), span)
                    meter.at(self.done, self._figures())
                    self._check_stop()
                    if self._is_due():
                        self._save()
                    self._close_epoch_if_due(meter)

    def _close_epoch_if_due(self, meter: Meter) -> None:
        if self.done == (self.closed_epochs + 1) * self.timetable.epoch_length:
            self._close_epoch(meter)

    def _next(self, batches: Iterator[Batch]) -> Batch:
        started = time.monotonic()
        batch = next(batches)
        self.waited += time.monotonic() - started
        return batch

    def _one_step(self, batch: Batch, span: StageSpan) -> None:
        started = time.monotonic()
        for role, optimizer in self.runner.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = rate_at(self.options.schedule, self._rates[role], self.timetable, self.done)
        device = self.runtime.device
        with self.step_memory.of_a_step():
            batch = self.parts.batches.finish(batch.apply(lambda t: t.to(device, non_blocking=True)), self.done)
            parts = self.runner(batch, self.timetable.step(self.done))
            self.averages.update(self.runner.optimizers)
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.done += 1
        self.seconds += time.monotonic() - started
        self._keep_snapshot(span)

    def _keep_snapshot(self, span: StageSpan) -> None:
        # A stage of n steps with two snapshots keeps them after n/3 and 2n/3.
        length, parts = span.stop - span.start, span.stage.snapshots + 1
        for number in range(1, parts):
            if self.done - span.start == max(round(length * number / parts), 1):
                self._collect()
                with self.averages.in_use():
                    self._save_weights(snapshot_file(self.checkpoints.folder, span.stage.name, number).stem)

    def _save_weights(self, name: str) -> None:
        if self.runtime.is_main:
            self.checkpoints.save_weights(name, self.strategy.state_dict(), self.done)

    def _enter_stage(self, number: int, span: StageSpan) -> None:
        # No state is saved between here and the stage's first step, so a run killed here enters the stage again.
        begins, stage = self.done == span.start, span.stage
        if begins and stage.pseudo_labels:
            self._save()  # predicting takes a while, and a stop during it has nothing more to save
            self._collect()
        with self.averages.in_use():
            self.parts.prepare_stage(number, begins, self._check_stop_alone)
        if not begins or self.done == 0 or stage.reset == "none":
            return
        if stage.reset == "all":
            for role, network in self.parts.redraw(number).items():
                self.strategy.networks[role].load_state_dict(network.state_dict())
            self.averages.restart()
        self.runner.optimizers = self._optimizers()

    def _use(self, choice: StepModeChoice) -> None:
        self.choice = choice
        clip = self.options.gradient_clip
        self.runner = StepRunner(self.strategy, self._optimizers(), self.runtime, choice.mode, clip)

    def _optimizers(self) -> dict[str, Optimizer]:
        roles = trained_roles(self.strategy, self.choice.mode, self.runtime)
        return make_optimizers(self.options.optimizer, self.strategy.networks, roles)

    def _figures(self) -> dict[str, float | str]:
        steps = self.done - self.closed_epochs * self.timetable.epoch_length
        losses = {name: value / steps for name, value in self.sums.items()}
        return self.told.figures(self.closed_epochs + 1, losses, self.step_memory.peak)

    def _close_epoch(self, meter: Meter) -> None:
        epoch, steps = self.closed_epochs + 1, self.timetable.epoch_length
        record: dict[str, Any] = {"epoch": epoch, "epochs": self.timetable.epochs, "step": self.done}
        record["lr"] = rate_at(self.options.schedule, self.options.optimizer.lr, self.timetable, self.done - 1)
        record["train"] = {name: value / steps for name, value in self.sums.items()}
        if self._validates(epoch) and self.parts.validate is not None:
            self._collect()
            self.strategy.eval()
            with raising_on_oom(self.runtime.device, VALIDATION_FIX), self.averages.in_use():
                score = self.parts.validate(self._check_stop_alone, None)
                record["validation"] = score.record(self.parts.class_names) | self._networks(epoch, self.parts.validate)
                is_best = self._keep_best(score)
            self.told.validated(epoch, score.mean_dice, is_best, record["train"]["loss"])
            meter.at(self.done, self._figures())
        record["seconds"] = round(self.seconds, 3)
        record["seconds_waited_for_data"] = round(self.waited, 3)
        if self.runtime.is_main:
            self.log.write(record)
            self.parts.observe(self.done, record)
        self.closed_epochs, self.sums, self.seconds, self.waited = epoch, {}, 0.0, 0.0

    def _validates(self, epoch: int) -> bool:
        return epoch % self.options.validation.every == 0 or epoch == self.timetable.epochs

    def _networks(self, epoch: int, validate: Validate) -> dict[str, Any]:
        """Return the Dice of each network alone if several predict: their mean hides one that never learned a class.

        Computed at the first, second, fourth, eighth … validation and at the last, so that it costs next to nothing.
        """
        number, roles = epoch // self.options.validation.every, self.strategy.predicting
        if len(roles) < 2 or not (number.bit_count() == 1 or epoch == self.timetable.epochs):
            return {}
        scores = {role: validate(self._check_stop_alone, role) for role in roles}
        return {"networks": {role: score.by_class(self.parts.class_names) for role, score in scores.items()}}

    def _keep_best(self, score: ValidationScore) -> bool:
        if self.best is not None and not (score.loss < self.best["loss"] or math.isnan(self.best["loss"])):
            return False
        self.best = {"loss": score.loss, "dice": score.mean_dice, "step": self.done}
        self._save_weights("best")
        return True

    def _is_due(self) -> bool:
        due = time.monotonic() - self._saved_at >= 60 * self.options.checkpoint.minutes
        return bool(self.runtime.broadcast(due))

    def _check_stop(self) -> None:
        if self.runtime.world == 1:  # no exchange needed, and no need to wait for the GPU
            self._check_stop_alone()
        elif float(self.runtime.sum(torch.tensor(float(self._stop.signum), device=self.runtime.device))):
            self._leave()

    def _check_stop_alone(self) -> None:
        # During validation processes are not synchronized, so with several of them a stop waits for its end.
        if self.runtime.world == 1 and self._stop.signum:
            self._leave()

    def _leave(self) -> None:
        self._save()
        signum = self._stop.signum or signal.SIGTERM
        raise Interrupted(
            f"Stopped by {signal.Signals(signum).name} after step {self.done} of {self.timetable.total}; the state is"
            f" saved in {self.parts.folder}.",
            "To resume, run the same command with --resume.",
            signum,
        )

    def _save(self) -> None:
        if self._saved != (self.done, self.closed_epochs):
            with self.averages.set_aside():
                state = self._state()
                if self.runtime.is_main:
                    self.checkpoints.save(self.done, state)
        self._saved_at, self._saved = time.monotonic(), (self.done, self.closed_epochs)

    def _collect(self) -> None:
        """Bring every network to every process, before saving or predicting."""
        self.runner.synchronize()
        self.averages.synchronize(self.runner.optimizers, self.runtime)
        require_finite(self.strategy.networks, self.done)

    def _state(self) -> dict[str, Any]:
        self._collect()
        return {
            "format": FORMAT,
            "step": self.done,
            "closed_epochs": self.closed_epochs,
            "best": self.best,
            "sums": self.sums,
            "seconds": self.seconds,
            "waited": self.waited,
            "log_size": self.log.size(),
            "world": self.runtime.world,
            "step_mode": self.choice.record(),
            "strategy": self.strategy.state_dict(),
            "optimizers": self.runner.optimizer_states(),
            "scaler": self.runner.scaler.state_dict(),
            **self.averages.state(),
        }

    def _restore(self) -> None:
        with self.runtime.main_first():
            state = self.checkpoints.newest()
        if state is None:
            self.log.cut(0)
            self._use(self.parts.choose())
            self.parts.reporter.say(f"Step mode: {self.choice}.")
            return
        if (state.get("format"), state.get("world")) != (FORMAT, self.runtime.world):
            raise RunError(
                f"The checkpoint is of format {state.get('format')} and {state.get('world')} processes, not of {FORMAT}"
                f" and {self.runtime.world}.",
                "Resume with the same number of processes: any other number sums in a different order.",
            )
        with fitting(self.checkpoints.steps()[-1]):
            self._take_up(state)
        if self.runtime.is_main:
            self.log.cut(self._log_size)
            self.checkpoints.restore_best(self.done)
            self.told.recall(self.log.read())
        self._saved = self.done, self.closed_epochs
        self.parts.reporter.say(
            f"Resuming after step {self.done} of {self.timetable.total}; step mode as before: {self.choice.mode}."
        )

    def _take_up(self, state: dict[str, Any]) -> None:
        self._use(StepModeChoice.of(state["step_mode"]))
        self.strategy.load_state_dict(state["strategy"])
        for role, optimizer in self.runner.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][role])
        self.runner.scaler.load_state_dict(state["scaler"])
        self.averages.load(state)
        self.done, self.closed_epochs = state["step"], state["closed_epochs"]
        self.best, self.sums = state["best"], state["sums"]
        self.seconds, self.waited, self._log_size = state["seconds"], state["waited"], state["log_size"]
