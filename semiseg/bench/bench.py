"""Cost of a recipe on this machine: each stage of a run, measured on the recipe's own data."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from semiseg.bench.advice import advice
from semiseg.bench.measure import Steps, Subject
from semiseg.bench.result import BenchResult, Machine, Stage
from semiseg.cores import available_cores
from semiseg.engine.runtime import Runtime
from semiseg.losses.dice_kernels import verdicts
from semiseg.pipeline.model import new_model
from semiseg.pipeline.plan import Plan, make_plan, timetable_of
from semiseg.pipeline.predictions import CHECKPOINTS
from semiseg.pipeline.step_mode import require_machine
from semiseg.pipeline.train import fill_store, n_workers
from semiseg.progress import Reporter
from semiseg.recipe.load import load_recipe
from semiseg.recipe.schema import Recipe
from semiseg.registry import installed
from semiseg.types import Shape, Task


def bench(
    recipe: Recipe | Mapping[str, Any] | str | Path,
    *,
    overrides: Sequence[str] = (),
    steps: int = 10,
    reporter: Reporter | None = None,
) -> BenchResult:
    """Measure each stage of a run, project the total time, and suggest changes.

    The case store is filled as by ``run``; nothing else is left behind. The steps are those at the end of training,
    when all losses are active, with untrained networks. No test case is predicted: a training case takes their place.
    Scoring and checkpoints are not measured.

    Args:
        recipe: a recipe, a mapping with its content, the path of its file, or the name of a shipped one.
        overrides: changes such as ``"training.patch_size=[96, 96, 96]"``.
        steps: number of timed steps, after a few untimed ones; rounded up to a multiple of the number of workers.
        reporter: receives progress.

    Raises:
        SemisegError: as ``run`` does. ValueError if ``steps`` is less than 1.
    """
    if steps < 1:
        raise ValueError("steps must be at least 1")
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, overrides)
    elif overrides:
        raise TypeError("overrides cannot be applied to a Recipe: give a path, a name or a mapping")
    options = recipe.training
    runtime, reporter = Runtime(options.device, options.precision, options.deterministic), reporter or Reporter()
    plan = make_plan(recipe, reporter=reporter)
    recipe = plan.recipe
    require_machine(plan, runtime)
    for note in (*plan.notes, *runtime.notes):
        reporter.say(f"Note: {note}.")
    result = _measure(plan, runtime, steps, reporter)
    names = {entry.name for entry in installed("augmentation")}
    has_targets = bool(plan.components.needs.targets)
    found = advice(result, recipe, names, lambda patch: _fits(plan, patch), has_targets)
    return replace(result, suggestions=found)


def _measure(plan: Plan, runtime: Runtime, steps: int, reporter: Reporter) -> BenchResult:
    split = plan.split
    model = new_model(plan, runtime)
    plan = plan.with_draws(model.strategy)
    timetable = timetable_of(plan, model.strategy)
    started = time.perf_counter()
    store = fill_store(plan, reporter)
    filling = time.perf_counter() - started
    workers = n_workers(plan.recipe.training.workers, runtime.device.type == "cuda")
    subject = Subject(plan, store, model, timetable, runtime, workers)

    def stages() -> Iterator[Stage]:
        if store.n_made:
            yield Stage("prepare", filling / store.n_made, store.n_made)
        drawn = plan.draws.n_samples
        yield Stage("read", read, drawn)
        if not subject.deferred:
            yield Stage("augment", augment, drawn)
        yield Stage("wait", taken.wait, timetable.total)
        yield Stage("step", taken.step, timetable.total)
        if split.validation:
            yield Stage("validate", subject.measure_validation(), n_validations(plan) * len(split.validation))
        if split.test:
            # Without validation cases, best is last and predicted once; with them it may differ from last.
            times = len(CHECKPOINTS) if split.validation else 1
            yield Stage("predict", subject.measure_prediction(), times * len(split.test))

    with reporter.work("timing samples", 1) as meter:
        read, augment = subject.measure_samples(steps)
        meter.advance()
    verdicts()  # discard those of another run
    with reporter.work("timing steps", sum(subject.n_steps(steps)), unit="step") as meter:
        taken = subject.measure_steps(steps, meter)
    for sentence in verdicts():
        reporter.say(sentence)
    with reporter.work("timing predictions", 1) as meter:
        found = tuple(stages())
        meter.advance()
    machine = _machine(runtime, workers, taken)
    return BenchResult(plan.recipe.name, subject.late_batch.total, store.n_work, machine, found)


def n_validations(plan: Plan) -> int:
    """Return the number of validations of a run: every ``validation.every`` epochs, and after the last epoch."""
    epochs, every = plan.recipe.training.epochs, plan.recipe.training.validation.every
    return -(-epochs // every)


def _machine(runtime: Runtime, workers: int, taken: Steps) -> Machine:
    common = (available_cores(), workers, runtime.precision, taken.mode, taken.peak)
    if runtime.device.type != "cuda":
        return Machine("CPU", *common)
    properties = torch.cuda.get_device_properties(runtime.device)
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return Machine(properties.name, *common, properties.total_memory, has_bf16)


def _fits(plan: Plan, patch: Shape) -> bool:
    task = Task(plan.task.in_channels, plan.task.classes, patch)
    return not any(backbone.patch_problems(task) for backbone in plan.components.backbones.values())
