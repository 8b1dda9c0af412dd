"""Files and folders that cannot be made: one message for the person who named the place."""

import pytest

from semiseg.errors import StorageError
from semiseg.io.atomic import atomic_file, make_folder, require_file, write_text


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "afile"
    path.write_text("kept")
    return path


def test_a_folder_that_can_be_made_is_and_one_that_is_there_is_left(tmp_path):
    for _ in range(2):
        make_folder(tmp_path / "a/b")
    assert (tmp_path / "a/b").is_dir()


@pytest.mark.parametrize("below", ["", "x", "x/y"])
def test_a_file_is_no_folder(file, below):
    with pytest.raises(StorageError, match=rf"{file / below} cannot be made: .+\.\n    Choose another --output\."):
        make_folder(file / below)
    with pytest.raises(StorageError, match="cannot be made"):
        write_text(file / below / "text.txt", "")
    with pytest.raises(StorageError, match="cannot be made"):
        require_file(file / below / "text.txt")
    assert file.read_text() == "kept"


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "there/inside").mkdir(parents=True)
    for write in (require_file, lambda path: write_text(path, "text")):
        with pytest.raises(StorageError, match=r"there cannot be written: Is a directory\.\n    Choose another"):
            write(tmp_path / "there")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_folder_that_takes_no_file_is_known_before_the_work(tmp_path, monkeypatch):
    def refuse(path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    require_file(tmp_path / "scores.csv")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(StorageError, match=r"scores.csv cannot be written: Permission denied"):
        require_file(tmp_path / "scores.csv")


def test_an_error_of_another_file_is_not_taken_for_the_target_s(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_file(tmp_path / "target.txt"):
        (tmp_path / "elsewhere").read_text()
