"""The device and precision of prediction with a finished run."""

import torch

from semiseg.engine.precision import bf16_problems, slow_bf16_notes
from semiseg.engine.runtime import Runtime, accelerator, precision_on
from semiseg.pipeline.model import KeptModel

_IN_FLOAT32 = "These predictions use float32 and may differ from the run's own by rounding."


def runtime_for(kept: KeptModel, device: str) -> tuple[Runtime, list[str]]:
    """Return a runtime in the run's precision, or in float32 if the device lacks it or gets it wrong, and notes."""
    options = kept.recipe.training
    spatial_dims = len(options.patch)
    precision, note = precision_for(options.precision, kept.precision, accelerator(device))
    runtime = Runtime(device, precision, options.deterministic)
    if runtime.precision == "bf16" and (wrong := bf16_problems(runtime.device, spatial_dims)):
        note = f"{wrong[0].what} {_IN_FLOAT32}"
        runtime.precision = "32"
    notes = [note] if note else []
    if runtime.precision == "bf16" and runtime.device.type == "cpu":
        notes += [f"{slow}." for slow in slow_bf16_notes("training.precision of the run", spatial_dims)]
    return runtime, notes


def precision_for(asked: str, had: str, kind: str) -> tuple[str, str]:
    """Return the precision for prediction, and a note if it is not the run's own.

    Args:
        asked: the recipe's ``training.precision``.
        had: the precision used when the run began; "auto" if unknown.
        kind: the device, "cpu" or "cuda".
    """
    wanted = had if asked == "auto" else asked
    if wanted == "auto":
        wanted = precision_on("auto", kind)
    gpu = kind == "cuda"
    # "auto" never selects bf16 on a CPU, where it may be slow; set by name it is used, as in training.
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False) if gpu else asked == "bf16"
    if wanted == "32" or (wanted == "fp16" and gpu) or (wanted == "bf16" and bf16):
        return wanted, ""
    lacks = "this GPU does not support" if gpu else "is meant for GPUs"
    return "32", f"The run used {wanted}, which {lacks}. {_IN_FLOAT32}"
