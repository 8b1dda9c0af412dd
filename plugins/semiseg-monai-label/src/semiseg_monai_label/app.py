"""The app of MONAI Label: prediction by the runs, the next case by a rule, no training."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from uuid import uuid4

from fastapi import HTTPException
from monailabel.config import settings as monai_label
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.interfaces.tasks.strategy import Strategy

import semiseg
from semiseg.registry import installed, load
from semiseg_monai_label.labels import names_in_file
from semiseg_monai_label.rounds import LogReporter, Rounds
from semiseg_monai_label.settings import Served, one_line, read_app
from semiseg_monai_label.store import BAD_REQUEST, Store

MODEL = "semiseg"
NOT_FOUND = 404


class SemisegApp(MONAILabelApp):  # type: ignore[misc]
    """Serves the runs in the ``semiseg.json`` of its folder."""

    def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str]) -> None:
        """Prepare the cases of the first rule. Raises SemisegError."""
        self.served = read_app(Path(app_dir))
        self.rounds = Rounds(self.served, LogReporter())
        names = ", ".join(run.name for run in self.served.settings.runs)
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=dict(conf),
            name=f"semiseg {semiseg.__version__}: {names}",
            description="Proposals by trained runs of semiseg, and the next case by its rules; no training here",
            version=semiseg.__version__,
            labels=[*self.served.values],
        )
        self.prepare(self.served.settings.by)

    def init_datastore(self) -> Store:
        """Return MONAI Label's datastore in the app's folder. Raises RunError if other studies are given."""
        if Path(self.studies).resolve() != self.served.studies.resolve():
            fix = f"Give --studies {self.served.studies}."
            raise semiseg.SemisegError(f"This app serves {self.served.studies}, not {self.studies}.", fix)
        return Store(self.served, monai_label.MONAI_LABEL_DATASTORE_AUTO_RELOAD)

    def init_infers(self) -> dict[str, InferTask]:
        """Return the prediction by the runs."""
        return {MODEL: Proposal(self.served, self.rounds)}

    def init_strategies(self) -> dict[str, Strategy]:
        """Return the installed rules, that of the settings first."""
        first = self.served.settings.by
        names = sorted((entry.name for entry in installed("acquisition")), key=lambda name: (name != first, name))
        return {name: NextCase(name, self) for name in names}

    def prepare(self, rule: str) -> None:
        """Have a rule choose its cases, unless it has; their proposals become labels with the tag ``original``."""
        store = self.datastore()
        cases = self.rounds.cases(rule)
        store.refresh()
        for case in cases:
            if store.get_label_info(case.case, DefaultLabelTag.ORIGINAL):
                continue
            path = self.rounds.proposal(rule, case)
            info = {"params": {"label_names": names_in_file(path, self.served.values)}}
            store.save_label(case.case, str(path), DefaultLabelTag.ORIGINAL, info)


class Proposal(InferTask):  # type: ignore[misc]
    """Predicts a case as ``semiseg predict`` does, with all its modalities."""

    def __init__(self, served: Served, rounds: Rounds) -> None:
        """Describe it to clients."""
        names = ", ".join(str(run) for run in served.settings.runs)
        super().__init__(InferType.SEGMENTATION, served.values, 3, f"Prediction by {names}")
        self._served, self._rounds = served, rounds

    def is_valid(self) -> bool:
        """Return true: the runs were read at the start."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the path of a new label file, and its values by name. Raises HTTPException."""
        image = Path(request["image"])
        if not image.is_file():  # of an unknown id, MONAI Label makes an empty path
            raise HTTPException(NOT_FOUND, "There is no such image.")
        case, images = self._rounds.case_of(image)
        target = Path(gettempdir()) / f"semiseg-{case}-{uuid4().hex[:8]}.nii.gz"  # the server removes it
        try:
            semiseg.predict(self._served.settings.runs, images, target, reporter=LogReporter())
        except semiseg.SemisegError as error:
            raise HTTPException(BAD_REQUEST, one_line(error)) from error
        return str(target), {"label_names": names_in_file(target, self._served.values)}


class NextCase(Strategy):  # type: ignore[misc]
    """The next case by one of semiseg's rules: of its cases without a final label, the one that it ranks first."""

    def __init__(self, rule: str, app: SemisegApp) -> None:
        """Describe it to clients, by the first line of the rule's docstring."""
        about = inspect.getdoc(load("acquisition", rule)) or rule
        super().__init__(about.partition("\n")[0])
        self._rule, self._app = rule, app

    def __call__(self, request: Mapping[str, Any], datastore: Store) -> dict[str, Any] | None:
        """Return the case's id, with rank and reason; None if all have a final label. Raises HTTPException."""
        try:
            self._app.prepare(self._rule)
            found = self._app.rounds.next_case(self._rule, datastore.get_labeled_images())
        except semiseg.SemisegError as error:
            raise HTTPException(BAD_REQUEST, one_line(error)) from error
        return None if found is None else {"id": found.case, "rank": found.rank, "reason": found.reason}
