"""Published values of a study, in a file next to its recipe, for comparison with a study's own values."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from semiseg.errors import Problem, RecipeError
from semiseg.messages import Place, explain
from semiseg.recipe.shipped import recipe_folders
from semiseg.recipe.yaml import read_yaml

FOLDER = "published"
"""The folder of published values, next to the recipes that name them."""
MEAN = "mean"
"""Class name of the mean over classes."""
_Values = dict[str, dict[int, dict[str, tuple[float | None, float | None]]]]
_Percent = dict[str, dict[int, dict[str, float]]]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class Source(_Record):
    """A publication."""

    title: str
    authors: tuple[str, ...]
    year: int
    cited: str
    """Citation within a sentence."""


class PublishedData(_Record):
    """The data of a publication."""

    name: str
    """Name as in the publication."""
    plugin: str
    """Name of the dataset component that reads the data."""


class PublishedTable(_Record):
    """A published table of one metric."""

    source: str
    """Location in the publication: ``table 2``."""
    unit: str
    """As in scores.csv: ``1`` or ``mm``."""
    digits: int
    """Printed decimals of the values."""
    total: int
    """Number of training cases of the semi-supervised models."""
    note: str = ""
    """How the values were computed, as far as can be determined; shown below the table."""
    values: _Values
    """Pairs of the two methods' values, by setting, labeled cases and class."""
    percent: _Percent = {}
    """The printed change from the first method to the second, by setting, labeled cases and class."""


class Published(_Record):
    """Published values of a study; other keys of the file are not used."""

    source: Source
    """The publication."""
    dataset: PublishedData
    """Its data."""
    note: str = ""
    """Difference from this study's protocol, such as other test cases; shown below every table."""
    classes: dict[str, str]
    """The publication's terms by the class names of the dataset component."""
    methods: tuple[str, str]
    """Names of the two methods, baseline first."""
    tables: dict[str, PublishedTable]
    """Tables by metric."""

    def table(self, metric: str) -> PublishedTable | None:
        """Return the table of a metric, ignoring its options (all that follows its name); None if there is none."""
        return self.tables.get(metric.partition(" ")[0])

    def value(self, metric: str, setting: str, method: str, labeled: int, class_name: str = MEAN) -> float | None:
        """Return a printed value, by default the mean over classes; None if not printed."""
        table = self.table(metric)
        row = table.values.get(setting, {}).get(labeled, {}) if table else {}
        return row[class_name][self.methods.index(method)] if class_name in row else None

    def percent(self, metric: str, setting: str, labeled: int, class_name: str = MEAN) -> float | None:
        """Return the printed change in percent (see the table's ``note``), positive for an improvement, or None."""
        table = self.table(metric)
        return None if table is None else table.percent.get(setting, {}).get(labeled, {}).get(class_name)


def find_published(name: str, folder: Path, where: str = "published") -> Path:
    """Return the file of published values: ``published/NAME.yaml`` in ``folder``, that of the study's recipe, or
    in the recipe folder of an installed package.

    Raises RecipeError, with the known names, if there is none, or if several packages have it. ``where`` is the place
    of the name in messages.
    """
    own = folder / FOLDER / f"{name}.yaml"
    if own.is_file():
        return own
    files = [file for place in (folder, *recipe_folders()) for file in sorted((place / FOLDER).glob("*.yaml"))]
    found = list(dict.fromkeys(file for file in files if file.stem == name))
    if len(found) == 1:
        return found[0]
    if found:
        fix = f"Copy the one you need to {own}."
        raise RecipeError(Problem(where, f"{name!r} is in several packages: {', '.join(map(str, found))}", fix))
    known = ", ".join(dict.fromkeys(file.stem for file in files)) or "none"
    fix = f"A study's own published values are in {FOLDER}/NAME.yaml next to its recipe."
    raise RecipeError(Problem(where, f"{name!r} is not known: {known}", fix))


def load_published(path: Path) -> Published:
    """Read published values. Raises RecipeError, with all problems, if the file is not as ``Published`` defines it."""
    data, places = read_yaml(path)
    try:
        return Published.model_validate(data)
    except ValidationError as error:
        raise RecipeError(explain(error, Published, data, Place(where=places.where))) from error
