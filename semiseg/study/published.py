"""Tables of published studies as data, for comparison with a study's own values."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiseg.errors import DataError
from semiseg.recipe.yaml import read_yaml

MEAN = "mean"
"""Class name of the mean over classes."""
_FOLDER = Path(__file__).with_name("published_values")


@dataclass(frozen=True, slots=True, eq=False)
class PublishedTable:
    """A published table of one metric.

    Attributes:
        source: location in the publication: ``table 2``.
        unit: as in scores.csv: ``1`` or ``mm``.
        digits: printed decimals of the values.
        total: number of training cases of the semi-supervised models.
        note: how the printed percentages were computed, as far as can be determined.
        values: by setting, method, labeled cases and class.
        percent: the printed change from the first method to the second, by setting, labeled cases and class.
    """

    source: str
    unit: str
    digits: int
    total: int
    note: str
    values: Mapping[tuple[str, str, int, str], float]
    percent: Mapping[tuple[str, int, str], float]


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """A published study.

    Attributes:
        name: name used in recipes: ``luque2023``.
        title: title of the publication.
        authors: authors in the publication's order.
        year: year of publication.
        cited: citation within a sentence.
        dataset: its data and split, as in the file; ``plugin`` names the dataset plugin that reads the data.
        classes: the publication's terms by the class names of the dataset plugin.
        methods: baseline first.
        models: the trained models, as in the file.
        tables: tables by metric.
        headline: the main result in one sentence, as in the file.
    """

    name: str
    title: str
    authors: tuple[str, ...]
    year: int
    cited: str
    dataset: Mapping[str, Any]
    classes: Mapping[str, str]
    methods: tuple[str, ...]
    models: tuple[Mapping[str, Any], ...]
    tables: Mapping[str, PublishedTable]
    headline: Mapping[str, Any]

    def table(self, metric: str) -> PublishedTable | None:
        """Return the table of a metric, ignoring its options (all that follows its name); None if there is none."""
        return self.tables.get(metric.partition(" ")[0])

    def value(self, metric: str, setting: str, method: str, labeled: int, class_name: str = MEAN) -> float | None:
        """Return a printed value, by default the mean over classes; None if not printed."""
        table = self.table(metric)
        return None if table is None else table.values.get((setting, method, labeled, class_name))

    def percent(self, metric: str, setting: str, labeled: int, class_name: str = MEAN) -> float | None:
        """Return the printed change in percent (see the table's ``note``), positive for an improvement, or None."""
        table = self.table(metric)
        return None if table is None else table.percent.get((setting, labeled, class_name))


def published_names() -> tuple[str, ...]:
    """Return the names of the studies that can be loaded."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def load_published(name: str) -> Published:
    """Load a published study by name. Raises DataError, with the known names, if there is none."""
    if name not in published_names():
        raise DataError(f"Unknown published study {name!r}.", f"Known: {', '.join(published_names())}.")
    data, _ = read_yaml(_FOLDER / f"{name}.yaml")
    source, methods = data["source"], tuple(data["methods"])
    return Published(
        name=name,
        title=source["title"],
        authors=tuple(source["authors"]),
        year=source["year"],
        cited=source["cited"],
        dataset=data["dataset"],
        classes=data["classes"],
        methods=methods,
        models=tuple(data["models"]),
        tables={metric: _table(table, methods) for metric, table in data["tables"].items()},
        headline=data["headline"],
    )


def _table(data: Mapping[str, Any], methods: tuple[str, ...]) -> PublishedTable:
    values = {
        (setting, method, labeled, name): value
        for (setting, labeled, name), pair in _flat(data["values"]).items()
        for method, value in zip(methods, pair, strict=True)
    }
    note = data["note"].strip()
    return PublishedTable(
        data["source"], data["unit"], data["digits"], data["total"], note, values, _flat(data["percent"])
    )


def _flat(nested: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> dict[tuple[str, int, str], Any]:
    return {
        (setting, labeled, name): value
        for setting, rows in nested.items()
        for labeled, row in rows.items()
        for name, value in row.items()
    }
