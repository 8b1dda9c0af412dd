"""The training of a run: the case store, the batches, validation, and the trainer that combines them."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from semiseg.cores import available_cores
from semiseg.data.batches import TrainingBatches
from semiseg.data.foreground import structures_of
from semiseg.data.samples import center_patch
from semiseg.data.store import CaseStore, StoredLabeled
from semiseg.engine.build import build_networks, compile_networks
from semiseg.engine.collectives import alone
from semiseg.engine.runtime import Runtime
from semiseg.engine.trainer import Trainer
from semiseg.engine.training_setup import TrainingSetup
from semiseg.engine.validation import Validate, ValidationScore, validate
from semiseg.errors import DataError, RecipeError, raise_all
from semiseg.io.json import read_json
from semiseg.pipeline.cache import Use
from semiseg.pipeline.model import Model
from semiseg.pipeline.plan import Plan, grid_problems, is_smaller, padding_note, picture_problems, timetable_of
from semiseg.pipeline.samples.pseudo_labels import PseudoLabels
from semiseg.pipeline.samples.weak_views import weak_augmentation
from semiseg.pipeline.step_mode import choose_step_mode
from semiseg.preprocessing.slices import box_of
from semiseg.preprocessing.spacing import mixed_spacing_note
from semiseg.progress import Reporter
from semiseg.runs.belonging import record_digest
from semiseg.runs.folder import RunFolder
from semiseg.types import Shape


def fill_store(plan: Plan, reporter: Reporter) -> CaseStore:
    """Preprocess every case of the split that training may use, and read the others completely.

    Raises DataError with every problem of every file.
    """
    split = plan.split
    raise_all(grid_problems(plan), DataError)
    by_class = plan.recipe.training.foreground_share > 0
    dataset, options = plan.components.dataset, plan.recipe.preprocessing
    store = CaseStore(dataset, options, split, with_planes=by_class, pseudo=plan.pseudo)
    use = Use(store.root, plan)
    with reporter.work("reading cases", store.n_work, unit="case") as meter:
        notes = store.fill(plan.cases, meter.advance)
    use.of(store.entries())
    stored = [store.image(case.id) for role in (split.labeled, split.unlabeled) for case in role]
    patch = plan.task.patch_size
    small = [case.case_id for case in stored if is_smaller(case.shape, box_of(patch, case.slice_axis))]
    raise_all(picture_problems((case.preparation.geometry for case in stored), plan), RecipeError)
    seen = [*stored, *(store.image(case.id) for case in split.validation)]
    grids = [case.preparation.geometry for case in seen]
    grids += [plan.components.dataset.read_geometry(case) for case in split.test]
    for note in (*notes, *padding_note(small), *mixed_spacing_note(grids, plan.slices, plan.resamples)):
        reporter.say(f"Note: {note}.")
    return store


def train(
    plan: Plan,
    model: Model,
    store: CaseStore,
    folder: RunFolder,
    runtime: Runtime,
    reporter: Reporter,
    observe: Callable[[int, Mapping[str, Any]], None],
) -> None:
    """Train to the end, resuming from the newest checkpoint if there is one; ``observe`` gets each epoch's record."""
    options, split = plan.recipe.training, plan.split
    batches = training_batches(plan, store, runtime)
    timetable = timetable_of(plan, model.strategy)

    def redraw(stage: int) -> Mapping[str, nn.Module]:
        return build_networks(plan.components.roles, plan.components.backbones, plan.task, plan.recipe.seed, stage)

    stages = model.strategy.stages()
    unlabeled, by_class = [store.image(case.id) for case in split.unlabeled], options.foreground_share > 0
    labels = PseudoLabels(unlabeled, model, folder, runtime, reporter, with_planes=by_class)

    def prepare_stage(number: int, begins: bool, after_case: Callable[[], None]) -> None:
        predicted = stages[number].pseudo_labels
        batches.serve_unlabeled(labels.of(stages, number, begins, after_case) if predicted else store.unlabeled())

    parts = TrainingSetup(
        strategy=model.strategy,
        redraw=redraw,
        timetable=timetable,
        choose=lambda: choose_step_mode(plan, model.strategy, timetable.step(timetable.total - 1), runtime),
        batches=batches,
        prepare_stage=prepare_stage,
        validate=validator(plan, model, store, runtime) if split.validation else None,
        class_names=plan.info.classes,
        runtime=runtime,
        folder=folder.path,
        reporter=reporter,
        observe=observe,
        model=record_digest(read_json(folder.model)),
    )
    if options.compile:
        compile_networks(model.strategy.networks.values(), runtime.device)
    Trainer(parts, options).fit()


def training_batches(plan: Plan, store: CaseStore, runtime: Runtime) -> TrainingBatches:
    """Return the batches of a run; in split mode each process has the whole batch."""
    options, split = plan.recipe.training, plan.split
    sharing = alone(runtime) if options.step.mode == "split" else runtime
    return TrainingBatches(
        [store.labeled(case.id) for case in split.labeled],
        store.unlabeled(),
        plan.components.augmentation,
        options.patch,
        plan.draws,
        plan.recipe.seed,
        n_workers(options.workers, runtime.device.type == "cuda"),
        sharing.rank,
        sharing.world,
        deferred=options.augmentation_on == "device",
        needs=plan.components.needs,
        n_classes=len(plan.task.classes),
        pin=runtime.device.type == "cuda",
        has_ignored=plan.info.has_ignored,
        foreground_share=options.foreground_share,
        structures=structures_of(plan.task),
        weak=weak_augmentation(plan.components, plan.recipe),
    )


def n_workers(workers: int | str, on_gpu: bool) -> int:
    """Return the number of worker processes: as set, or by this process's share of the cores, at most 8.

    "auto" leaves one core to the process that feeds a GPU. On the CPU training itself needs the cores, and loading
    samples takes few of them: one in four. In a user's own script it is none: a new process would run a script
    without a main guard again.
    """
    if isinstance(workers, int):
        return workers
    cores = max(available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1)  # torchrun's processes share
    return min(cores - 1 if on_gpu else cores // 4, 8) if _main_can_be_imported() else 0


def _main_can_be_imported() -> bool:
    main = sys.modules["__main__"]
    file, spec = getattr(main, "__file__", None), getattr(main, "__spec__", None)
    return file is None or Path(file).stem == "semiseg" or (spec is not None and spec.name.startswith("semiseg."))


class _Center:
    """A validation case cropped to the center patch."""

    def __init__(self, case: StoredLabeled, patch_size: Shape) -> None:
        self.case_id, self.slice_axis, self._case = case.case_id, case.slice_axis, case
        self._size = box_of(patch_size, case.slice_axis)

    def image(self) -> NDArray[np.float32]:
        return center_patch(self._case.image(), self._size)

    def label(self) -> NDArray[np.uint8]:
        return center_patch(self._case.label(), self._size)


def validator(plan: Plan, model: Model, store: CaseStore, runtime: Runtime) -> Validate:
    """Return a function that scores the validation cases with the model or one role's network.

    It calls its first argument after each case. Cases with only ignored voxels are left out; DataError if all are such.
    """
    options = plan.recipe.training
    stored = [case for case in (store.labeled(case.id) for case in plan.split.validation) if case.n_known != 0]
    if not stored:
        raise DataError("All voxels of the validation cases are ignored.", "Label some, or set split.validation to 0.")
    cases: Sequence[Any] = (
        stored if options.validation.mode == "volume" else [_Center(case, options.patch) for case in stored]
    )

    def score(after_case: Callable[[], None], role: str | None) -> ValidationScore:
        predict = model.predictor(runtime.device, role).probabilities
        return validate(cases, predict, plan.task, model.strategy.coding, runtime, after_case, plan.info.has_ignored)

    return score
