"""A case store that cannot be written: said once and of the store, not of every case."""

import errno

import numpy as np
import pytest

from semiseg.data.entries import Entries
from semiseg.data.verify import problems_of
from semiseg.errors import StorageError
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
