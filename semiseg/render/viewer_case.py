"""Test cases for viewing: an image with its truth and predictions, in R, A, S axes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from semiseg.interfaces.dataset import Dataset
from semiseg.io.orientation import to_ras
from semiseg.io.volumes import read_label_file
from semiseg.render.document import ViewedCase
from semiseg.types import Case, DatasetInfo


def view_case(
    case: Case, dataset: Dataset, info: DatasetInfo, predictions: Mapping[str, Path], about: str = ""
) -> ViewedCase:
    """Return a case's last modality, its truth if it has one, and predictions by title, read from label files.

    An RGB picture is returned in color. Raises DataError if a file cannot be read.
    """
    image = dataset.read_image(case)
    indices = {value: index for index, value in enumerate(info.class_values)}
    labels = {"reference": dataset.read_label(case).array} if case.label is not None else {}
    labels |= {title: read_label_file(path, indices).array for title, path in predictions.items()}
    array, geometry = to_ras(image.array, image.geometry)
    picture = image.geometry.unit == "pixel"
    colors = picture and len(array) == 3 and len(case.images) == 1 and array.dtype == np.uint8
    shown = np.moveaxis(array, 0, -1) if colors else array[-1]
    turned = {title: to_ras(label, image.geometry)[0] for title, label in labels.items()}
    return ViewedCase(case.id, about, shown, turned, geometry.spacing, info.has_ignored, picture)
