"""The measurements of a bench: each runs the code of a real run and times it."""

import math
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from semiseg.data.batches import TrainingBatches
from semiseg.data.case_records import StoredPseudo
from semiseg.data.draws import Counts
from semiseg.data.foreground import structures_of
from semiseg.data.samples import Sampler
from semiseg.data.split import Split
from semiseg.data.store import CaseStore
from semiseg.engine.build import compile_networks
from semiseg.engine.memory import peak_memory
from semiseg.engine.optim import make_optimizers
from semiseg.engine.runtime import Runtime
from semiseg.engine.schedule import TrainingSchedule
from semiseg.engine.step import StepRunner, trained_roles
from semiseg.interfaces.augmentation import Augmentation
from semiseg.pipeline.model import Model
from semiseg.pipeline.plan import Plan
from semiseg.pipeline.predictions import predict_case
from semiseg.pipeline.samples.weak_views import weak_augmentation
from semiseg.pipeline.step_mode import choose_step_mode
from semiseg.pipeline.train import training_batches, validator
from semiseg.preprocessing.slices import box_of
from semiseg.progress import Meter
from semiseg.recipe.schema import Training, Validation
from semiseg.types import Shape

UNTIMED = 2
"""Number of steps before the timed ones; the first ones choose kernels and allocate memory."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Seconds of waiting and of the step itself, step mode, and peak memory in bytes."""

    wait: float
    step: float
    mode: str
    peak: int


@dataclass(frozen=True)
class Subject:
    """Subject of the measurements: a plan with its filled store, untrained networks and timetable."""

    plan: Plan
    store: CaseStore
    model: Model
    timetable: TrainingSchedule
    runtime: Runtime
    workers: int

    @property
    def deferred(self) -> bool:
        """True if samples are augmented on the device of the step."""
        return self.plan.recipe.training.augmentation_on == "device"

    @property
    def late_batch(self) -> Counts:
        """The samples of the last step."""
        return self.plan.draws.at(self.timetable.total - 1)

    def measure_samples(self, count: int) -> tuple[float, float]:
        """Return seconds to read and to augment a sample in this process; the latter is 0 if steps augment."""
        plan, watch = self.plan, Stopwatch(self.plan.components.augmentation)
        weak = weak_augmentation(plan.components, plan.recipe)
        labeled = [self.store.labeled(case.id) for case in plan.split.labeled]
        sampler = Sampler(
            labeled,
            self.store.unlabeled(),
            watch,
            plan.task.patch_size,
            plan.recipe.seed,
            self.deferred,
            plan.recipe.training.foreground_share,
            structures_of(plan.task),
            None if weak is None else watch.of(weak),
        )
        counts = self.late_batch
        slots = range(counts.total)

        def draw(step: int) -> None:
            for slot in slots:
                (sampler.draw_labeled if slot < counts.labeled else sampler.draw_unlabeled)(step, slot)

        draw(0)  # excludes imports and compilation in the augmentation
        rounds = math.ceil(count / len(slots))
        watch.reset()
        started = time.perf_counter()
        for step in range(1, rounds + 1):
            draw(step)
        total = time.perf_counter() - started
        drawn = rounds * len(slots)
        return (total - watch.seconds) / drawn, watch.seconds / drawn

    def n_steps(self, count: int) -> tuple[int, int]:
        """Return the numbers of untimed and of timed steps if ``count`` steps are requested.

        Workers start with one batch each, made at the same time. That many steps are untimed, and a multiple of that
        number is timed, so that each worker makes the same number of batches. A short training limits both.
        """
        total, group = self.timetable.total, max(self.workers, 1)
        timed = min(math.ceil(count / group) * group, total)
        return min(max(group, UNTIMED), total - timed), timed

    def measure_steps(self, count: int, meter: Meter) -> Steps:
        """Time the steps at the end of the timetable, with the recipe's workers, advancing the meter with each."""
        untimed, timed = self.n_steps(count)
        runner, total = self._runner(), self.timetable.total
        wait = step = 0.0
        with (
            self._batches() as batches,
            closing(batches.steps(total - timed - untimed, total)) as coming,  # type: ignore[type-var]
        ):
            for index in range(total - timed - untimed, total):
                started = self._now()
                if index == total - timed and self.runtime.device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats(self.runtime.device)  # the search for kernels takes more memory
                batch = next(coming)
                there = self._now()
                runner(batches.finish(batch.apply(self._move), index), self.timetable.step(index))
                if index >= total - timed:
                    wait += there - started
                    step += self._now() - there
                meter.advance()
        return Steps(wait / timed, step / timed, str(runner.mode), peak_memory(self.runtime.device))

    @contextmanager
    def _batches(self) -> Iterator[TrainingBatches]:
        """Provide the batches of the last stage, with empty pseudo-labels if it uses any."""
        batches = training_batches(self.plan, self.store, self.runtime)
        with TemporaryDirectory() as folder:
            if self.model.strategy.stages()[-1].pseudo_labels:
                served = []
                for case in (self.store.image(case.id) for case in self.plan.split.unlabeled):
                    path = Path(folder) / f"{case.case_id}.npy"
                    np.lib.format.open_memmap(path, "w+", np.uint8, case.shape)
                    served.append(StoredPseudo(case.case_id, case.image_file, case.preparation, path))
                batches.serve_unlabeled(served)
            yield batches

    def measure_validation(self) -> float:
        """Return seconds to predict and score the first validation case."""
        one = replace(self.plan.split, validation=self.plan.split.validation[:1])
        training = self.plan.recipe.training
        patch = training.model_copy(update={"validation": Validation(mode="patch")})
        self._validate(one, patch)  # excludes imports and compilation
        started = self._now()
        self._validate(one, training)
        return self._now() - started

    def _validate(self, split: Split, training: Training) -> None:
        recipe = self.plan.recipe.model_copy(update={"training": training})
        plan = replace(self.plan, split=split, recipe=recipe)
        validator(plan, self.model, self.store, self.runtime)(lambda: None, None)

    def measure_prediction(self) -> float:
        """Return seconds to read, predict and write a training case, as test cases are not opened here."""
        plan, case = self.plan, self.plan.split.labeled[0].without_label()
        ensemble = self.model.alone(self.runtime.device)
        window = np.zeros((plan.task.in_channels, *box_of(plan.task.patch_size, 2)), np.float32)
        ensemble.members[0].predictor.labels(window)  # as above
        with TemporaryDirectory() as folder:
            target = Path(folder) / "prediction"
            started = self._now()
            predict_case(case, plan.components.dataset, ensemble, plan.info, target)
            return self._now() - started

    def _runner(self) -> StepRunner:
        strategy, options = self.model.strategy.to(self.runtime.device), self.plan.recipe.training
        late = self.timetable.step(self.timetable.total - 1)
        if options.compile:
            compile_networks(strategy.networks.values(), self.runtime.device)
        mode = choose_step_mode(self.plan, strategy, late, self.runtime).mode
        roles = trained_roles(strategy, mode, self.runtime)
        optimizers = make_optimizers(options.optimizer, strategy.networks, roles)
        return StepRunner(strategy, optimizers, self.runtime, mode, options.gradient_clip)

    def _move(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.runtime.device, non_blocking=True)

    def _now(self) -> float:
        if self.runtime.device.type == "cuda":
            torch.cuda.synchronize(self.runtime.device)
        return time.perf_counter()


class Stopwatch(Augmentation):
    """An augmentation that times its calls, and those of another one ``of`` which adds to the same sum."""

    def __init__(self, augmentation: Augmentation, times: list[float] | None = None) -> None:
        super().__init__(augmentation.options)
        self._augmentation, self._times = augmentation, [] if times is None else times

    def of(self, augmentation: Augmentation) -> "Stopwatch":
        """Return another augmentation with the same watch."""
        return Stopwatch(augmentation, self._times)

    def reset(self) -> None:
        """Forget the calls so far."""
        self._times.clear()

    @property
    def seconds(self) -> float:
        """The seconds of all calls."""
        return sum(self._times)

    def source_size(self, patch_size: Shape) -> Shape:
        """Return the source size of the augmentation."""
        return self._augmentation.source_size(patch_size)

    def __call__(self, image: Tensor, label: Tensor | None, patch_size: Shape) -> tuple[Tensor, Tensor | None]:
        """Return the result of the augmentation."""
        started = time.perf_counter()
        changed = self._augmentation(image, label, patch_size)
        self._times.append(time.perf_counter() - started)
        return changed
