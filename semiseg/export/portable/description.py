"""All that another program needs to use exported networks, as JSON: from voxels of a file to a label map."""

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import torch

from semiseg.prediction.ensemble import LoadedRun, limit_of
from semiseg.prediction.postprocessing import largest_for, mode_of
from semiseg.progress import Reporter

FORMAT = 1


def description(run: LoadedRun, checkpoint: str, axes: tuple[int, ...], reporter: Reporter) -> dict[str, Any]:
    """Return the content of description.json; ``axes`` are those along which the model predicts mirrored."""
    model, task = run.model, run.model.task
    largest = largest_for([run], mode_of([run], None), checkpoint, limit_of([run], None), reporter)
    options = model.recipe.preprocessing
    return {
        "format": FORMAT,
        "name": model.recipe.name,
        "checkpoint": checkpoint,
        "weights_sha256": run.weights,
        "semiseg": version("semiseg"),
        "torch": torch.__version__,
        "precision": "float32",
        "input": {
            "name": "images",
            "shape": ["batch", task.in_channels, *task.patch_size],
            "modalities": list(model.info.modalities),
            "axes": _axes(run),
        },
        "output": {
            "name": "probabilities",
            "shape": ["batch", task.out_channels, *task.patch_size],
            "of": list(task.regions or task.classes),
        },
        "labels": dict(zip(map(str, model.info.class_values[1:]), task.classes[1:], strict=True)),
        "regions": {name: [task.classes[index] for index in members] for name, members in task.regions.items()},
        "preprocessing": options.model_dump(mode="json", exclude={"store"}),
        "windows": {
            "size": list(task.patch_size),
            "overlap": model.recipe.inference.overlap,
            "weighting": model.recipe.inference.weighting,
            "sigma": 0.125 if model.recipe.inference.weighting == "gaussian" else None,
        },
        "mirrored_axes": list(axes),
        "largest_component_of": [task.classes[index] for index in largest],
        "steps": list(_steps(run, axes, tuple(task.classes[index] for index in largest))),
        "trained": _trained(run, checkpoint),
    }


def _axes(run: LoadedRun) -> str:
    if run.model.task.spatial_dims == 3:
        return "to the patient's right, front and top (R, A, S)"
    return "of a slice, in the order of right, front, top (R, A, S) without the axis across slices"


def _steps(run: LoadedRun, axes: tuple[int, ...], largest: tuple[str, ...]) -> Iterator[str]:
    """Yield the way from a file to its label map, in words."""
    options, task = run.model.recipe.preprocessing, run.model.task
    yield f"stack the modalities as channels, in this order: {', '.join(run.model.info.modalities)}"
    yield "order and flip the axes so that they run nearest to the patient's right, front and top (R, A, S)"
    nonzero = options.foreground == "nonzero"
    if nonzero and options.crop:
        margin = f", {options.crop_margin} voxels wider on each side" if options.crop_margin else ""
        yield f"crop to the box of voxels that are not 0 in any channel{margin}"
    foreground = "voxels that are not 0" if nonzero else "all voxels"
    stay = "; voxels that are 0 stay 0" if nonzero and options.normalize != "none" else ""
    yield f"normalize each channel over its {foreground}, as preprocessing.normalize says ({options.normalize}){stay}"
    if options.resamples:
        to = f"voxels of {options.spacing} mm" if options.spacing != "none" else f"{options.resize} voxels"
        yield f"resample the image to {to} ({options.interpolation})"
    if task.spatial_dims == 2:
        yield f"predict slice by slice, across the axis that preprocessing.slice_axis says ({options.slice_axis})"
    inference = run.model.recipe.inference
    yield (
        f"predict windows of {list(task.patch_size)} voxels that overlap by {inference.overlap:g}, and average their "
        f"probabilities with {inference.weighting} weights, as MONAI's sliding_window_inference; smaller images are "
        "padded with 0"
    )
    if axes:
        yield "no flips are needed: the exported model predicts the mean over them"
    if options.resamples:
        yield "resample the probabilities back, linearly"
    if task.regions:
        yield "a voxel is in a region if its probability is above 0.5; its class is the one of these regions"
    else:
        yield "take the class with the highest probability; outside the box it is background"
    if largest:
        yield f"keep only the largest component (26 neighbors) of {', '.join(largest)}"
    yield "undo the crop, and the order and flips of the axes"
    yield "write the label values in labels"


def _trained(run: LoadedRun, checkpoint: str) -> Mapping[str, Any]:
    """Return on what the model was trained, without names of cases, and its test scores, if there are any."""
    recipe, summary = run.model.recipe, run.kept.folder.summary
    about: dict[str, Any] = {
        "dataset": run.model.info.name,
        "strategy": str(recipe.strategy.name),
        "backbone": str(recipe.backbone.name),
        "spacing": run.kept.record.get("spacing"),
    }
    try:
        found = json.loads(summary.read_text(encoding="utf-8"))
        about["cases"] = found["cases"]
        blocks = found["scores"]["checkpoints"][checkpoint]
        about["test_scores"] = {
            metric: {name: {"mean": part["mean"], "n": part["n"]} for name, part in block["classes"].items()}
            for metric, block in blocks.items()
        }
    except (OSError, ValueError, LookupError, TypeError):
        about["test_scores"] = None  # the run has not ended
    return about
