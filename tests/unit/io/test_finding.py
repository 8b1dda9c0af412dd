"""What a folder holds: links are followed, each folder once, and nothing that was seen is left out without a word."""

import os

import pytest

from semiseg.io.finding import Walk, find
from semiseg.io.names import RENAMED, as_nifti, nifti_stem, other_format


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def names(paths, root):
    return [str(path.relative_to(root)) for path in paths]


def test_files_by_name_in_either_case_and_what_else_there_is(tmp_path):
    touch(tmp_path, "b.nii", "A.NII.GZ", "c.Nii.gz", "._a.nii.gz", "d.nrrd", "e.txt", "sub/f.nii", ".git/g.nii.gz")
    found = find(tmp_path)
    assert names(found.files, tmp_path) == ["A.NII.GZ", "b.nii", "c.Nii.gz"]
    assert names(found.other, tmp_path) == ["d.nrrd"]
    assert names(found.hidden, tmp_path) == ["._a.nii.gz"]
    assert names(found.deeper, tmp_path) == ["sub/f.nii"]
    assert not found.problems
    assert [*found.notes()] == [
        f"{tmp_path}: 1 image file is of an unsupported format: d.nrrd",
        f"{tmp_path}: 1 file is in subfolders and not read: sub/f.nii",
        f"{tmp_path}: 1 hidden file is skipped: ._a.nii.gz",
    ]
    assert names(find(tmp_path, recursive=True).files, tmp_path) == ["A.NII.GZ", "b.nii", "c.Nii.gz", "sub/f.nii"]


def test_linked_folders_are_entered_once_and_loops_end(tmp_path):
    touch(tmp_path, "store/case/a.nii.gz", "root/own/b.nii.gz")
    root = tmp_path / "root"
    (root / "linked").symlink_to(tmp_path / "store" / "case")
    (root / "alias").symlink_to(root / "own")  # first by its name, but the folder goes by its own
    (root / "own" / "up").symlink_to(root)
    (tmp_path / "store" / "case" / "itself").symlink_to(tmp_path / "store" / "case")
    found = find(root, recursive=True)
    assert names(found.files, root) == ["linked/a.nii.gz", "own/b.nii.gz"]
    assert names(found.again, root) == ["alias", "linked/itself", "own/up"]
    assert not found.problems
    assert find(tmp_path / "root" / "linked").files == (root / "linked" / "a.nii.gz",)


def test_links_to_nothing_are_one_problem_and_never_missing_files(tmp_path):
    touch(tmp_path, "a.nii.gz")
    for name in ("b.nii.gz", "c.nii.gz", "case_7", "notes.txt", ".hidden"):
        (tmp_path / name).symlink_to("not/fetched")
    (tmp_path / "loop").symlink_to("loop")
    found = find(tmp_path)
    assert names(found.files, tmp_path) == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    (problem,) = found.problems
    assert str(problem).startswith(f"{tmp_path}: 4 broken links: b.nii.gz, c.nii.gz, case_7, loop\n")
    assert "datalad get" in problem.fix


def test_folders_and_files_that_cannot_be_opened_are_told(tmp_path, monkeypatch):
    touch(tmp_path, "shut/a.nii.gz", "b.nii.gz")
    os.mkfifo(tmp_path / "pipe.nii")
    real = os.scandir

    def scandir(place):
        if place.name == "shut":
            raise PermissionError(13, "Permission denied", str(place))
        return real(place)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "access", lambda path, mode: path.name != "b.nii.gz")
    found = find(tmp_path, recursive=True)
    assert [str(problem).split("\n")[0] for problem in found.problems] == [
        f"{tmp_path / 'shut'}: it cannot be opened: Permission denied",
        f"{tmp_path / 'b.nii.gz'}: no permission to read it",
        f"{tmp_path / 'pipe.nii'}: it is named like an image, but is not a file",
    ]


def test_folders_taken_out_of_a_walk_are_not_entered(tmp_path):
    touch(tmp_path, "a/1", "b/2", "c/3")
    (tmp_path / "d").symlink_to(tmp_path / "c")
    been = []
    for place, inner, _ in Walk().through(tmp_path):
        been.append(place)
        inner[:] = [path for path in inner if path.name not in {"b", "d"}]
    assert names(been, tmp_path) == [".", "a", "c"]


@pytest.mark.parametrize(
    ("name", "stem", "other", "would_be"),
    [
        ("a.nii.gz", "a", "", "a.nii.gz"),
        ("A.NII", "A", "", "A.NII"),
        ("a_seg.nrrd", "", "NRRD", "a_seg.nii.gz"),
        ("a.MHA", "", "MetaImage", "a.nii.gz"),
        ("a.nii.bz2", "", "compressed NIfTI", "a.nii.gz"),
        ("a.nii.gz.part", "", RENAMED, "a.nii.gz"),
        ("a.nii ", "", RENAMED, "a.nii.gz"),
        ("a.niigata.gz", "", "", "a.niigata.gz"),
        ("a\nb.nii.gz", "a\nb", "", "a\nb.nii.gz"),
        (".nii.gz", "", "", ".nii.gz"),
        ("Mu\u0308ller.nii.gz", "M\u00fcller", "", "Mu\u0308ller.nii.gz"),  # as macOS writes it
    ],
)
def test_names(tmp_path, name, stem, other, would_be):
    path = tmp_path / name
    assert (nifti_stem(path), other_format(path), as_nifti(path).name) == (stem, other, would_be)


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    found = find(tmp_path / "nowhere")
    assert not found.files
    assert not found.problems
    assert not [*found.notes()]
