"""A case store that cannot be written: said once and of the store, not of every case."""

import errno
import time

import numpy as np
import pytest
from made_dataset import MadeDataset

from semiseg.data.case_files import Entries
from semiseg.data.split import make_split
from semiseg.data.store import CaseStore
from semiseg.data.verify import problems_of
from semiseg.errors import StorageError
from semiseg.recipe import schema
from semiseg.types import Case


def raising(number):
    def work():
        raise OSError(number, "refused", "file")

    return work


def test_a_store_below_a_file_is_refused_before_any_case_is_read(tmp_path):
    (tmp_path / "afile").touch()
    with pytest.raises(StorageError) as caught:
        Entries(tmp_path / "afile/store/entries").sweep()
    text = str(caught.value)
    assert text.startswith(f"The case store {tmp_path}/afile/store cannot be written: ")
    assert "preprocessing.store" in text
    assert "SEMISEG_CACHE" in text


def test_an_entry_that_cannot_be_written_is_the_store_s_fault(tmp_path):
    entries = Entries(tmp_path / "entries")
    entries.sweep()
    entries.path("abcd").parent.touch()  # where its folder should be
    with pytest.raises(StorageError, match=f"The case store {tmp_path} cannot be written"):
        entries.write("abcd", np.zeros(3), {})


def test_a_store_that_is_there_is_opened_by_its_readers(tmp_path):
    entries = Entries(tmp_path / "entries")
    entries.sweep()
    entries.write("abcd", np.arange(3), {"n": 1})
    entries.sweep()
    assert entries.read("abcd") == {"n": 1}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_what_no_reading_fails_of_is_not_called_a_case_that_cannot_be_read(tmp_path, number):
    with pytest.raises(StorageError, match="The case store cannot be written"):
        problems_of(Case("one", (tmp_path / "one.nii.gz",)), raising(number))


def test_a_file_that_cannot_be_read_is_the_case_s_fault(tmp_path):
    (found,) = problems_of(Case("one", (tmp_path / "one.nii.gz",)), raising(errno.EACCES))
    assert str(found).startswith("case one: cannot be read")


def filled(tmp_path, monkeypatch):
    """What is said of a store that is filled after its files' content has settled."""
    dataset = MadeDataset(tmp_path / "data", 4, unlabeled=1)
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 3_000_000_000)
    split = make_split(dataset.cases(), schema.Split(test=["a"], validation=["b"], labeled=["c"]), 0)
    return CaseStore(dataset, schema.Preprocessing(), split, tmp_path / "store").fill(dataset.cases())


def test_checks_that_cannot_be_noted_are_the_store_s_fault(tmp_path, monkeypatch):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/checked").touch()  # where a folder should be
    with pytest.raises(StorageError) as caught:
        filled(tmp_path, monkeypatch)
    text = str(caught.value)
    assert text.startswith(f"The case store {tmp_path}/store cannot be written: {tmp_path}/store/checked/")
    assert "preprocessing.store" in text
    assert "cannot be read" not in text


def test_digests_that_cannot_be_kept_are_told_and_stop_nothing(tmp_path, monkeypatch):
    assert filled(tmp_path / "good", monkeypatch) == ()
    assert filled(tmp_path / "good", monkeypatch) == ()
    monkeypatch.undo()
    (tmp_path / "bad/store").mkdir(parents=True)
    (tmp_path / "bad/store/digests").touch()
    (note,) = filled(tmp_path / "bad", monkeypatch)
    assert f"the case store's folder {tmp_path}/bad/store/digests cannot be written (" in note
    assert "preprocessing.store or SEMISEG_CACHE" in note


def test_a_store_that_may_not_be_read_is_not_called_a_case_that_cannot_be(tmp_path, monkeypatch):
    """As where another user has made it with a strict umask."""

    def refusing(method):
        def maybe(path, *args, **kwargs):
            if path.is_relative_to(tmp_path / "store/digests") or path.is_relative_to(tmp_path / "store/checked"):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return method(path, *args, **kwargs)

        return maybe

    for name in ("read_text", "exists", "is_file", "mkdir"):
        monkeypatch.setattr(f"pathlib.Path.{name}", refusing(getattr(type(tmp_path), name)))
    with pytest.raises(StorageError, match=r"cannot be written: .*/store/checked/.*: Permission denied\."):
        filled(tmp_path, monkeypatch)
