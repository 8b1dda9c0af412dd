"""Test cases to be looked at: an image with its truth and predictions, turned as radiologists look at it."""

from collections.abc import Mapping
from pathlib import Path

from semiseg.interfaces.dataset import Dataset
from semiseg.io.orientation import to_ras
from semiseg.io.volumes import read_label_file
from semiseg.render.document import ViewedCase
from semiseg.types import Case, DatasetInfo


def view_case(
    case: Case, dataset: Dataset, info: DatasetInfo, predictions: Mapping[str, Path], about: str = ""
) -> ViewedCase:
    """A case's last modality, its truth where it has one, and predictions by title, which are label files.

    Raises DataError where a file cannot be read.
    """
    image = dataset.read_image(case)
    indices = {value: index for index, value in enumerate(info.class_values)}
    labels = {"truth": dataset.read_label(case).array} if case.label is not None else {}
    labels |= {title: read_label_file(path, indices).array for title, path in predictions.items()}
    channel, geometry = to_ras(image.array[-1], image.geometry)
    turned = {title: to_ras(array, image.geometry)[0] for title, array in labels.items()}
    return ViewedCase(case.id, about, channel, turned, geometry.spacing)
