"""What a published study printed: its tables as data, to stand beside a study's own values."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiseg.errors import DataError
from semiseg.recipe.yaml import read_yaml

MEAN = "mean"
"""The class name of the mean over classes."""
_FOLDER = Path(__file__).with_name("published_values")


@dataclass(frozen=True, slots=True, eq=False)
class PublishedTable:
    """One metric's table.

    Attributes:
        source: where it is in the publication: ``table 2``.
        unit: as in scores.csv: ``1`` or ``mm``.
        digits: that the values are printed with, after the point.
        total: cases that the semi-supervised models were trained on in all.
        note: how the printed percentages came to be, as far as it can be told.
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
        name: by which recipes ask for it: ``luque2023``.
        title: of the publication.
        authors: in its order.
        year: of the publication.
        cited: as a sentence cites it.
        dataset: its data and split, as the file has them; ``plugin`` names the dataset plugin that reads the data.
        classes: the publication's words by the class names that the dataset plugin uses.
        methods: baseline first.
        models: what it trained, as the file has it.
        tables: by metric.
        headline: what it says of its results in a sentence, as the file has it.
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
        """The table of a metric, whose options (all that follows its name) do not matter; None where there is none."""
        return self.tables.get(metric.partition(" ")[0])

    def value(self, metric: str, setting: str, method: str, labeled: int, class_name: str = MEAN) -> float | None:
        """A printed value, by default the mean over classes; None where nothing is printed."""
        table = self.table(metric)
        return None if table is None else table.values.get((setting, method, labeled, class_name))

    def percent(self, metric: str, setting: str, labeled: int, class_name: str = MEAN) -> float | None:
        """The change in percent as it is printed (see the table's ``note``); positive is an improvement."""
        table = self.table(metric)
        return None if table is None else table.percent.get((setting, labeled, class_name))


def published_names() -> tuple[str, ...]:
    """The studies that can be loaded."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def load_published(name: str) -> Published:
    """A published study by its name. Raises DataError, with the known names, where there is none."""
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
