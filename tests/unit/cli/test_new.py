"""``semiseg new`` where there can be no such folder: what is said, and the exit code of it."""

import pytest

from semiseg.errors import StorageError
from semiseg.scaffold.package import write_package


def refusal(folder, name="mine"):
    with pytest.raises(StorageError) as caught:
        write_package("metric", name, folder)
    assert caught.value.exit_code == 4
    return str(caught.value)


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "afile").touch()
    text = refusal(tmp_path / "afile" / "new")
    assert text == f"{tmp_path}/afile/new cannot be created: Not a directory.\n    Choose another --output."


def test_a_folder_that_may_not_be_made_is_told(tmp_path, monkeypatch):
    def refuse(path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    assert refusal(tmp_path / "new").startswith(f"{tmp_path}/new cannot be created: Permission denied.")


def test_a_folder_that_may_not_be_looked_into_is_told_and_nothing_is_written(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "new").mkdir()
    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.iterdir", refuse)
        text = refusal(tmp_path / "new")
    assert text == f"{tmp_path}/new cannot be used: Permission denied.\n    Choose another folder with --output."
    assert list((tmp_path / "new").iterdir()) == []


def test_a_name_that_is_too_long_for_a_folder_is_told(tmp_path):
    assert "cannot be used: File name too long" in refusal(tmp_path / ("a" * 300), "a" * 300)


def test_a_file_that_may_not_be_written_is_told(tmp_path, monkeypatch):
    def refuse(path, *arguments, **options):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("pathlib.Path.write_text", refuse)
    text = refusal(tmp_path / "new")
    assert text.startswith(f"{tmp_path}/new/.gitignore cannot be written: No space left on device.")
