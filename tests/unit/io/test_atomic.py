"""Files and folders that cannot be created: one message for the person who named the place."""

import errno
import re

import pytest
from helpers_processes import run

from semiseg.errors import StorageError
from semiseg.io.atomic import append_line, atomic_file, make_folder, require_file, told_where_refused, write_text


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
    with pytest.raises(StorageError, match=rf"{file / below} cannot be created: .+\.\n    Choose another --output\."):
        make_folder(file / below)
    with pytest.raises(StorageError, match="cannot be created"):
        write_text(file / below / "text.txt", "")
    with pytest.raises(StorageError, match="cannot be created"):
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


def test_lines_are_added_each_by_itself(tmp_path):
    path = tmp_path / "a.jsonl"
    append_line(path, "one")
    append_line(path, "zwö")
    with path.open("a") as file:
        file.write("cut o")
    append_line(path, "three")
    assert path.read_text() == "one\nzwö\ncut o\nthree\n"


FULL = """
import resource, signal, sys
from pathlib import Path
from semiseg.io.lock import locked
from semiseg.runs.log import JsonLog
from semiseg.errors import StorageError
from semiseg.io.atomic import append_line
from semiseg.runs.folder import RunFolder

home = Path(sys.argv[1])
folder = RunFolder(home)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for write, most in (
    (lambda: append_line(folder.log, "x" * 50_000), 30_000),
    (lambda: JsonLog(folder.log).write({"epoch": 1, "train": {"x" * 50_000: 1}}), 30_000),
    (lambda: folder.open_test_set("run", {"x": "y" * 50_000}), 30_000),
    (lambda: locked(home).__enter__(), 10),
):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    try:
        write()
    except StorageError as error:
        said = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    print(said)
"""


def test_a_full_disk_is_told_with_the_bytes_that_it_takes_and_has_and_leaves_whole_lines(tmp_path):
    home, script = tmp_path / "home", tmp_path / "full.py"
    home.mkdir()
    script.write_text(FULL)
    for name in ("log.jsonl", "test_openings.jsonl"):
        append_line(home / name, "before")
    told = [line for line in run(home, program=script).stdout.splitlines() if line.startswith(str(home))]
    names = ["log.jsonl", "log.jsonl", "test_openings.jsonl", "lock.json"]
    needed = ["50,001", r"50,0\d\d", r"50,\d+", r"\d+"]
    assert len(told) == 4
    for line, name, size in zip(told, names, needed, strict=True):
        what = (
            rf"{home}/{name} could not be written: no space for {size} bytes \([\d,]+ bytes are free on this disk\)\."
        )
        assert re.fullmatch(what, line), line
    assert {path.name: path.read_text() for path in home.iterdir()} == {
        "log.jsonl": "before\n",
        "test_openings.jsonl": "before\n",
    }


def test_a_file_that_may_not_be_written_is_told(tmp_path):
    refused = pytest.raises(StorageError, match=r"a\.txt cannot be written: Permission denied")
    with refused, told_where_refused(tmp_path / "a.txt", 3):
        raise PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(StorageError, match="cannot be written: Is a directory"):
        append_line(tmp_path, "line")
