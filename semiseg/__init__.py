"""Semi-supervised 3D medical image segmentation.

Public names are loaded on first use: importing semiseg is fast and does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semiseg.cli.console import show_progress
    from semiseg.comparison.compare import compare
    from semiseg.comparison.selection import select
    from semiseg.errors import SemisegError
    from semiseg.pipeline.check import check
    from semiseg.pipeline.own_loop import make_strategy
    from semiseg.pipeline.run import run
    from semiseg.prediction.predict import predict
    from semiseg.prediction.trained_model import TrainedModel, load
    from semiseg.recipe.load import load_recipe
    from semiseg.scoring.arrays import score
    from semiseg.scoring.evaluate import evaluate
    from semiseg.study.run import run_study
    from semiseg.study_report.report import report_study
    from semiseg.suggestion.adopt import adopt
    from semiseg.suggestion.suggest import suggest

__version__ = "0.2.0"
__all__ = [
    "SemisegError",
    "TrainedModel",
    "__version__",
    "adopt",
    "check",
    "compare",
    "evaluate",
    "load",
    "load_recipe",
    "make_strategy",
    "predict",
    "report_study",
    "run",
    "run_study",
    "score",
    "select",
    "show_progress",
    "suggest",
]

_HOMES = {
    "SemisegError": "semiseg.errors",
    "TrainedModel": "semiseg.prediction.trained_model",
    "adopt": "semiseg.suggestion.adopt",
    "check": "semiseg.pipeline.check",
    "compare": "semiseg.comparison.compare",
    "evaluate": "semiseg.scoring.evaluate",
    "load": "semiseg.prediction.trained_model",
    "load_recipe": "semiseg.recipe.load",
    "make_strategy": "semiseg.pipeline.own_loop",
    "predict": "semiseg.prediction.predict",
    "report_study": "semiseg.study_report.report",
    "run": "semiseg.pipeline.run",
    "run_study": "semiseg.study.run",
    "score": "semiseg.scoring.arrays",
    "select": "semiseg.comparison.selection",
    "show_progress": "semiseg.cli.console",
    "suggest": "semiseg.suggestion.suggest",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'semiseg' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
