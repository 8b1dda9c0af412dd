"""The measurements of a bench: each runs what a run would run, and times it."""

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
from semiseg.data.samples import Sampler
from semiseg.data.split import Split
from semiseg.data.store import CaseStore
from semiseg.data.stored import StoredPseudo
from semiseg.engine.build import compile_networks
from semiseg.engine.memory import peak_memory
from semiseg.engine.optim import make_optimizers
from semiseg.engine.runtime import Runtime
from semiseg.engine.schedule import Timetable
from semiseg.engine.step import StepRunner, trained_roles
from semiseg.interfaces.augmentation import Augmentation
from semiseg.pipeline.model import Model
from semiseg.pipeline.plan import Plan
from semiseg.pipeline.predictions import predict_case
from semiseg.pipeline.step_mode import choose_step_mode
from semiseg.pipeline.train import training_batches, validator
from semiseg.progress import Meter
from semiseg.recipe.schema import Training, Validation
from semiseg.types import Shape

UNTIMED = 2
"""Steps before those that are timed: kernels are chosen and memory is taken in the first."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What steps took: seconds of waiting and of the step itself, the step mode, and the peak of memory in bytes."""

    wait: float
    step: float
    mode: str
    peak: int


@dataclass(frozen=True)
class Subject:
    """What is measured: a plan with its filled store, its new networks and its timetable."""

    plan: Plan
    store: CaseStore
    model: Model
    timetable: Timetable
    runtime: Runtime
    workers: int

    @property
    def deferred(self) -> bool:
        """Whether samples are augmented where the step is computed."""
        return self.plan.recipe.training.augmentation_on == "device"

    def measure_samples(self, count: int) -> tuple[float, float]:
        """Seconds of reading and of augmenting one sample, in this process alone; 0 where a step augments."""
        plan, watch = self.plan, Stopwatch(self.plan.components.augmentation)
        labeled = [self.store.labeled(case.id) for case in plan.split.labeled]
        unlabeled = [self.store.image(case.id) for case in plan.split.unlabeled]
        sampler = Sampler(labeled, unlabeled, watch, plan.task.patch_size, plan.recipe.seed, self.deferred)
        slots = range(plan.batch_size.total)

        def draw(step: int) -> None:
            for slot in slots:
                (sampler.draw_labeled if slot < plan.batch_size.labeled else sampler.draw_unlabeled)(step, slot)

        draw(0)  # what augmentation imports and compiles is not timed
        rounds, watch.seconds = math.ceil(count / len(slots)), 0.0
        started = time.perf_counter()
        for step in range(1, rounds + 1):
            draw(step)
        total = time.perf_counter() - started
        drawn = rounds * len(slots)
        return (total - watch.seconds) / drawn, watch.seconds / drawn

    def n_steps(self, count: int) -> tuple[int, int]:
        """How many steps are untimed, and how many timed, where ``count`` are asked for.

        Workers start with a batch each, made at the same time: so many steps are untimed, and a multiple of as many
        is timed, in which each worker makes the same number of batches. A short training has no more than it has.
        """
        total, group = self.timetable.total, max(self.workers, 1)
        timed = min(math.ceil(count / group) * group, total)
        return min(max(group, UNTIMED), total - timed), timed

    def measure_steps(self, count: int, meter: Meter) -> Steps:
        """The steps at the end of the timetable, with the recipe's workers; the meter hears of each."""
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
                    torch.cuda.reset_peak_memory_stats(self.runtime.device)  # the search for kernels takes more
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
        """The batches of the last stage; where it has pseudo-labels, with empty ones."""
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
        """Seconds to predict and score the first validation case."""
        one = replace(self.plan.split, validation=self.plan.split.validation[:1])
        training = self.plan.recipe.training
        patch = training.model_copy(update={"validation": Validation(mode="patch")})
        self._validate(one, patch)  # what is imported and compiled is not timed
        started = self._now()
        self._validate(one, training)
        return self._now() - started

    def _validate(self, split: Split, training: Training) -> None:
        recipe = self.plan.recipe.model_copy(update={"training": training})
        plan = replace(self.plan, split=split, recipe=recipe)
        validator(plan, self.model, self.store, self.runtime)(lambda: None, None)

    def measure_prediction(self) -> float:
        """Seconds to read, predict and write a case: a training case, for test cases are not opened here."""
        plan, case = self.plan, self.plan.split.labeled[0].without_label()
        predictor = self.model.predictor(self.runtime.device)
        predictor.labels(np.zeros((plan.task.in_channels, *plan.task.patch_size), np.float32))  # as above
        with TemporaryDirectory() as folder:
            target = Path(folder) / "prediction.nii.gz"
            started = self._now()
            predict_case(case, plan.components.dataset, predictor, plan.recipe, plan.info, target)
            return self._now() - started

    def _runner(self) -> StepRunner:
        strategy, options = self.model.strategy.to(self.runtime.device), self.plan.recipe.training
        late = self.timetable.step(self.timetable.total - 1)
        if options.compile:
            compile_networks(strategy.networks.values(), self.runtime.device)
        mode = choose_step_mode(self.plan, strategy, late, self.runtime).mode
        roles = trained_roles(strategy, mode, self.runtime)
        optimizers = make_optimizers(options.optimizer, strategy.networks, roles)
        return StepRunner(strategy, optimizers, self.runtime, mode)

    def _move(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.runtime.device, non_blocking=True)

    def _now(self) -> float:
        if self.runtime.device.type == "cuda":
            torch.cuda.synchronize(self.runtime.device)
        return time.perf_counter()


class Stopwatch(Augmentation):
    """An augmentation whose calls are timed."""

    def __init__(self, augmentation: Augmentation) -> None:
        super().__init__(augmentation.options)
        self._augmentation, self.seconds = augmentation, 0.0

    def source_size(self, patch_size: Shape) -> Shape:
        """As the augmentation's."""
        return self._augmentation.source_size(patch_size)

    def __call__(self, image: Tensor, label: Tensor | None, patch_size: Shape) -> tuple[Tensor, Tensor | None]:
        """What the augmentation gives."""
        started = time.perf_counter()
        changed = self._augmentation(image, label, patch_size)
        self.seconds += time.perf_counter() - started
        return changed
