"""What a server serves, and the folder of its app."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from semiseg import SemisegError
from semiseg.errors import Problem, RunError

SETTINGS = "semiseg.json"
STUDIES, SUGGESTIONS = "studies", "suggestions"
_MAIN = '''"""The app of MONAI Label that serves the runs in semiseg.json."""

from semiseg_monai_label.app import SemisegApp as SemisegApp
'''


class Settings(BaseModel):
    """What is served.

    Attributes:
        runs: the run folders; several predict together.
        images: a folder of new images; None for the runs' own unlabeled cases.
        by: the rule by which cases are ready when the server starts.
        n: how many patients a rule chooses.
        seed: seed of rules that draw at random.
        show: the modality that an annotator sees.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    runs: list[Path]
    images: Path | None
    by: str
    n: int
    seed: int
    show: str


@dataclass(frozen=True)
class Served:
    """The folder of an app with its settings.

    Attributes:
        home: the folder: ``main.py`` and ``semiseg.json``, ``studies`` (images and labels), ``suggestions``.
        settings: what is served.
    """

    home: Path
    settings: Settings

    @property
    def studies(self) -> Path:
        """The folder that MONAI Label serves: a link to an image per case, named like the case, and ``labels``."""
        return self.home / STUDIES

    def suggestion(self, rule: str) -> Path:
        """Return the folder of a rule's suggestion."""
        return self.home / SUGGESTIONS / rule

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """The first run's ``model.json``: modalities, classes and label values. Raises RunError."""
        return model_record(self.settings.runs[0])

    @property
    def values(self) -> dict[str, int]:
        """The label values by name: the classes without the background, and ``ignore`` if a value is ignored."""
        values = dict(zip(self.record["classes"][1:], self.record["class_values"][1:], strict=True))
        return values if self.record.get("ignore") is None else {**values, "ignore": self.record["ignore"]}

    @property
    def shown(self) -> int:
        """The index of the modality that an annotator sees."""
        return list(self.record["modalities"]).index(self.settings.show)


def model_record(run: Path) -> Mapping[str, Any]:
    """Return the content of a run's ``model.json``. Raises RunError."""
    path = run / "model.json"
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = f"it is no run folder: model.json cannot be read ({error})"
        raise RunError(Problem(str(run), what, "Name the folder of a finished run.")) from error
    return found


def new_app(home: Path, settings: Settings) -> tuple[Served, bool]:
    """Write the folder of an app, or return the one that is there with the same settings; and whether it is new.

    Raises RunError if the folder holds anything else.
    """
    if (home / SETTINGS).is_file():
        served = read_app(home)
        if served.settings != settings:
            what = "it serves something else: other runs, images, rule, number, seed or modality"
            raise RunError(Problem(str(home), what, "Nothing was changed. Choose another --output."))
        return served, False
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise RunError(f"{home} is not an empty folder.", "Nothing was changed. Choose another --output.")
    (home / STUDIES).mkdir(parents=True)
    (home / "main.py").write_text(_MAIN, encoding="utf-8")
    (home / SETTINGS).write_text(settings.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return Served(home, settings), True


def read_app(home: Path) -> Served:
    """Return the app in a folder. Raises RunError."""
    path = home / SETTINGS
    try:
        return Served(home, Settings.model_validate_json(path.read_bytes()))
    except (OSError, ValidationError) as error:
        fix = "Start the server with semiseg-monai-label."
        raise RunError(Problem(str(path), f"it cannot be read: {error}", fix)) from error


def one_line(error: SemisegError) -> str:
    """Return an error's message for a client that shows a single line."""
    parts = [(f"{one.where}: {one.what}" if one.where else one.what, one.fix) for one in error.problems]
    return " ".join(f"{what.removesuffix('.')}. {fix}".strip() for what, fix in parts)
