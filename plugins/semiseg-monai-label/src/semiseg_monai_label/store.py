"""MONAI Label's own datastore, whose labels have the values of the dataset."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import HTTPException
from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.datastore import DefaultLabelTag

from semiseg.errors import DataError, Problem, SemisegError
from semiseg_monai_label.labels import NIFTI, SEGMENTATION, with_dataset_values
from semiseg_monai_label.rounds import ENDINGS
from semiseg_monai_label.settings import Served, one_line

BAD_REQUEST = 400


class Store(LocalDatastore):  # type: ignore[misc]
    """The images in ``studies``, and the labels in ``studies/labels``: ``final`` those of annotators."""

    def __init__(self, served: Served, auto_reload: bool) -> None:
        """Open the folder; the last of several endings that fit a file name counts."""
        self._values = served.values
        endings = [f"*{ending}" for ending in (*ENDINGS, SEGMENTATION)]
        super().__init__(str(served.studies), extensions=endings, auto_reload=auto_reload)

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any] | None) -> str:
        """Save a label; segments that a client has numbered itself get the dataset's values by their names.

        A label without segments has the dataset's values. Raises HTTPException, and saves nothing, for segments that
        are no classes and for other file formats.
        """
        info = dict(label_info or {})
        path, segments = Path(label_filename), info.get("label_info")
        if label_tag != DefaultLabelTag.FINAL or path.name.endswith(SEGMENTATION):
            return str(super().save_label(image_id, label_filename, label_tag, info))
        try:
            if not path.name.endswith(NIFTI):
                what = f"labels in this format ({''.join(path.suffixes)}) are not taken"
                fix = f"Set the file extension {NIFTI[0]} or {SEGMENTATION} in the settings of the client."
                raise DataError(Problem(f"case {image_id}", what, fix))
            if segments is None:
                return str(super().save_label(image_id, label_filename, label_tag, info))
            with TemporaryDirectory() as folder:
                target = Path(folder) / f"label{NIFTI[0]}"
                info["label_info"] = with_dataset_values(path, target, segments, self._values, image_id)
                return str(super().save_label(image_id, str(target), label_tag, info))
        except SemisegError as error:
            raise HTTPException(BAD_REQUEST, one_line(error)) from error
