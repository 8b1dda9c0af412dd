"""Curves for TensorBoard."""

from collections.abc import Mapping
from typing import Any

from semiseg.errors import ComponentError
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.observer import ObservedRun, Observer


class TensorBoard(Observer):
    """Writes curves to ``tensorboard`` in the run folder; a resumed run drops the points after its checkpoint."""

    def __init__(self, options: ComponentOptions | None = None) -> None:
        super().__init__(options)
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as error:
            raise ComponentError("TensorBoard is not installed.", 'pip install "semiseg[tensorboard]"') from error
        self._make: Any = SummaryWriter
        self._folder = ""
        self._writer: Any = None

    def begin(self, run: ObservedRun) -> None:
        """Note the folder; the writer starts with the first step, from which on earlier points are dropped."""
        self._folder = str(run.folder / "tensorboard")

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve."""
        if self._writer is None:
            self._writer = self._make(self._folder, purge_step=step)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def end(self, scores: Mapping[str, float], files: object) -> None:
        """Close the writer."""
        self._close()

    def fail(self, reason: str) -> None:
        """Close the writer."""
        self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
