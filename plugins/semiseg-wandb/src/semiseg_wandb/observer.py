"""An observer that keeps a run in Weights & Biases."""

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from semiseg.plugin import ComponentError, ComponentOptions, ObservedRun, Observer

KEPT = "wandb.json"
"""File of the run folder with the id of the run in W&B and the last step that was logged."""


class WandB(Observer):
    """Keeps recipe, curves, test scores and report in Weights & Biases; a resumed run stays one run there.

    Source: W&B, https://docs.wandb.ai. Without a connection, ``mode=offline`` writes to ``wandb`` in the run
    folder, for ``wandb sync``.
    """

    class Options(ComponentOptions):
        """Options of ``--observe wandb:OPTION=VALUE``."""

        project: str = "semiseg"
        """The project."""
        entity: str = ""
        """The team or user; if empty, that of the API key."""
        mode: Literal["online", "offline"] | None = None
        """Whether to send the run or to write it to the run folder alone; by default as WANDB_MODE says, or online."""

    _open: ClassVar[dict[str, Any]] = {}
    """Runs of this process that have not ended, by id: W&B refuses to open one twice."""

    def __init__(self, options: Options | None = None) -> None:
        super().__init__(options)
        import wandb  # here, because lists of components import this module, too

        self._wandb: Any = wandb
        self._mode = self.options.mode or wandb.setup().settings.mode
        known = self._mode != "online" or wandb.run is not None or wandb.login(prompt=False, verify=False)
        if not known:  # W&B would ask for it on the terminal
            raise ComponentError("W&B has no API key.", "Run `wandb login`, or --observe wandb:mode=offline.")
        self._run: Any = None
        self._kept = Path()
        self._id = ""
        self._last = 0

    def begin(self, run: ObservedRun) -> None:
        """Create the run in W&B, or continue the one whose id is in the run folder."""
        self._kept = run.folder / KEPT
        if run.resumed and self._kept.exists():
            record = json.loads(self._kept.read_text(encoding="utf-8"))
            self._id, self._last = record["id"], record["last_step"]
        else:
            self._id, self._last = secrets.token_hex(4), 0
            self._keep()
        if left := self._open.pop(self._id, None):  # as after an error of W&B itself
            left.finish(exit_code=1)
        settings = self._wandb.Settings(silent=True, console="off", disable_git=True, save_code=False)
        self._run = self._wandb.init(
            project=self.options.project,
            entity=self.options.entity or None,
            id=self._id,
            name=run.name,
            dir=str(run.folder),
            mode=self._mode,
            resume="allow",
            reinit="create_new",  # a run of the user's own program stays as it is
            settings=settings,
        )
        self._open[self._id] = self._run
        self._run.config.update({**run.recipe}, allow_val_change=True)  # a resumed run may have more epochs

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values, unless the step was logged before the run was resumed."""
        if step > self._last:
            self._run.log(dict(values), step=step, commit=True)
            self._last = step
            self._keep()

    def end(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        """Write the scores to the summary, keep the files, and mark the run as finished."""
        self._run.summary.update(dict(scores))
        for path in files:
            self._run.save(str(path.absolute()), base_path=str(path.absolute().parent), policy="now")
        self._finish(0)

    def fail(self, reason: str) -> None:
        """Mark the run as failed, with the reason in its summary."""
        self._run.summary["failure"] = reason
        self._finish(1)

    def _finish(self, code: int) -> None:
        self._run.finish(exit_code=code)
        self._open.pop(self._id, None)

    def _keep(self) -> None:
        self._kept.write_text(json.dumps({"id": self._id, "last_step": self._last}) + "\n", encoding="utf-8")
