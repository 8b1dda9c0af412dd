"""The contents of a folder for a reader: usable files, and files that were found but cannot be used."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from semiseg.errors import Problem
from semiseg.io.names import RENAMED, as_nifti, nifti_stem, other_format
from semiseg.messages import counted, some

_NAMED = 4
_FETCH = "Fetch the targets (git-annex, DataLad: `datalad get .`), or remove the links."
NO_IMAGES = {".csv", ".html", ".json", ".log", ".md", ".pdf", ".py", ".rst", ".tsv", ".txt", ".xls", ".xlsx", ".yaml"}
CONVERT = (
    "semiseg reads NIfTI, NRRD and MetaImage (.nii.gz, .nii, .nrrd, .mha, .mhd), and in the dataset folder DICOM, one"
    " folder per case, and PNG, JPEG and TIFF as 2D images. Convert other DICOM with dcm2niix, FreeSurfer's files with"
    " mri_convert, and most others with SimpleITK: sitk.WriteImage(sitk.ReadImage(FILE), 'CASE.nii.gz')."
)


@dataclass(frozen=True, slots=True)
class Found:
    """The result of searching a folder.

    Attributes:
        files: those with matching names, sorted, including those that ``problems`` reports as unreadable: an existing
            file is never treated as missing.
        problems: broken links, and files and folders that cannot be opened.
        other: image files of unsupported formats.
        hidden: hidden files that would match; hidden folders are not entered.
        deeper: matching files in subfolders that are not searched.
        again: links to folders that are already read.
        lost: those of ``problems`` that concern none of ``files``, so that reading these would not report them.
    """

    folder: Path
    files: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()
    other: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    deeper: tuple[Path, ...] = ()
    again: tuple[Path, ...] = ()
    lost: tuple[Problem, ...] = ()

    def notes(self) -> Iterator[str]:
        """Yield remarks on what was found and left out, each a sentence without its period."""
        if self.other:
            yield f"{self._are(self.other, 'image file')} of an unsupported format: {self._some(self.other)}"
        if self.deeper:
            yield f"{self._are(self.deeper, 'file')} in subfolders and not read: {self._some(self.deeper)}"
        if self.hidden:
            yield f"{self._are(self.hidden, 'hidden file')} skipped: {self._some(self.hidden)}"
        if self.again:
            yield f"{self._are(self.again, 'link')} to a folder that is already read: {self._some(self.again)}"

    def _are(self, paths: tuple[Path, ...], what: str) -> str:
        return f"{self.folder}: {counted(len(paths), what)} {'is' if len(paths) == 1 else 'are'}"

    def _some(self, paths: tuple[Path, ...]) -> str:
        return some([str(path.relative_to(self.folder)) for path in paths], _NAMED)

    def formats(self) -> str:
        """Return the image files of other formats by format name: ``NRRD (a.nrrd, b.nrrd and 3 others)``."""
        formats = sorted({other_format(path) for path in self.other})
        return f"{', '.join(formats)} ({self._some(self.other)})"


@dataclass(slots=True)
class Walk:
    """A walk through a folder and its subfolders, including linked ones, each once; hidden folders are skipped.

    Attributes:
        problems: folders that cannot be opened.
        dangling: broken links.
        again: links to folders that were already visited.
    """

    problems: list[Problem] = field(default_factory=list)
    dangling: list[Path] = field(default_factory=list)
    again: list[Path] = field(default_factory=list)

    def through(self, top: Path) -> Iterator[tuple[Path, list[Path], list[Path]]]:
        """Yield each folder, its subfolders and its files, sorted. Subfolders removed from the list are not entered.

        Linked folders come last, so that a folder that is also linked to from within is reported under its own path.
        """
        folders, links, seen = [top], list[Path](), set[tuple[int, int]]()
        while folders or links:
            place = folders.pop() if folders else links.pop(0)
            try:
                status = place.stat()
                if (status.st_dev, status.st_ino) in seen:
                    self.again.append(place)
                    continue
                seen.add((status.st_dev, status.st_ino))
                inner, files = self._look_into(place)
            except OSError as error:
                self.problems.append(_cannot_open(place, error))
                continue
            yield place, inner, files
            links += [path for path in inner if path.is_symlink()]
            folders += [path for path in reversed(inner) if not path.is_symlink()]

    def _look_into(self, place: Path) -> tuple[list[Path], list[Path]]:
        inner, files = [], []
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = place / entry.name
                try:
                    mode = path.stat().st_mode
                except OSError as error:
                    if entry.is_symlink() and error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                        self.dangling.append(path)
                    else:
                        self.problems.append(_cannot_open(path, error))
                    files.append(path)
                    continue
                if not stat.S_ISDIR(mode):
                    files.append(path)
                elif not entry.name.startswith("."):
                    inner.append(path)
        return inner, files


def find(folder: Path, fits: Callable[[Path], object] = nifti_stem, *, recursive: bool = False) -> Found:
    """Return the files of a folder with matching names, by default NIfTI; with ``recursive``, also those of subfolders.

    A missing folder has no files; a broken link in its path is a problem.
    """
    if not _is_there(folder):
        broken = tuple(_broken_on_the_way(folder))
        return Found(folder, problems=broken, lost=broken)
    walk = Walk()
    files, other, hidden, deeper = list[Path](), list[Path](), list[Path](), list[Path]()
    named = list[Path]()
    for place, inner, names in walk.through(folder):
        named += [path for path in inner if fits(path)]
        other += [path for path in inner if other_format(path)]  # such as .zarr
        inner[:] = [path for path in inner if not other_format(path)]
        for path in names:
            if path.name.startswith("."):
                hidden += [path] if fits(path.with_name(path.name.lstrip("._"))) else []
            elif fits(path):
                (files if recursive or place == folder else deeper).append(path)
            elif other_format(path):
                other.append(path)
    there = {nifti_stem(path).lower() for path in files}
    other = [path for path in other if other_format(path) != RENAMED or nifti_stem(as_nifti(path)).lower() not in there]
    read, images = {*files}, {*files, *deeper}
    empty = [*_folders_named_as_images(named, files)]
    problems = [*walk.problems, *empty, *_unusable(files), *_dangling(folder, walk.dangling, images)]
    lost = [*empty, *(problem for problem in walk.problems if Path(problem.where) not in read)]
    lost += _dangling(folder, [path for path in walk.dangling if path not in read], images)
    others, hidden_ones, below, again = (tuple(sorted(found)) for found in (other, hidden, deeper, walk.again))
    return Found(folder, tuple(sorted(files)), tuple(problems), others, hidden_ones, below, again, tuple(lost))


def is_folder(path: Path) -> bool:
    """Return whether this is a folder; False also if a parent folder is not accessible."""
    return stat.S_ISDIR(_mode(path))


def is_file(path: Path) -> bool:
    """Return whether this is a file; False also if a parent folder is not accessible."""
    return stat.S_ISREG(_mode(path))


def is_named(path: Path) -> bool:
    """Return whether something has this name, or a link in its path is broken."""
    return bool(_mode(path)) or any(_broken_on_the_way(path))


def _mode(path: Path) -> int:
    """Return the mode from ``stat``; 0 if nothing is there or access is denied."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError:
        return False


def _is_there(folder: Path) -> bool:
    """Return whether the folder can be walked; also True if the walk will report what is wrong with it."""
    try:
        return stat.S_ISDIR(folder.stat().st_mode)
    except PermissionError:
        return True
    except OSError:
        return False


def _broken_on_the_way(path: Path) -> Iterator[Problem]:
    """Yield the broken link that the path or one of its parents is, if any."""
    for each in (path, *path.parents):
        if _is_link(each) and not _mode(each):
            yield Problem(str(each), "broken link", _FETCH)
            return


def _folders_named_as_images(named: list[Path], files: list[Path]) -> Iterator[Problem]:
    """Yield problems for folders with an image's name that contain none, as failed downloads leave them."""
    for folder in named:
        if not any(path.is_relative_to(folder) for path in files):
            yield Problem(str(folder), "it is named like an image, but is a folder without images", "Move it away.")


def _cannot_open(path: Path, error: OSError) -> Problem:
    return Problem(str(path), f"it cannot be opened: {error.strerror or error}", "Check its permissions.")


def _unusable(files: list[Path]) -> Iterator[Problem]:
    """Yield problems for what is not a file or not readable."""
    for path in filter(_mode, files):
        if not is_file(path):
            yield Problem(str(path), "it is named like an image, but is not a file", "Move it away.")
        elif not os.access(path, os.R_OK):
            yield Problem(str(path), "no permission to read it", "Give yourself read permission.")


def _dangling(folder: Path, links: list[Path], images: set[Path]) -> Iterator[Problem]:
    """Yield a problem for broken links that are images by their names or may be a case's folder."""
    count = [
        path for path in links if path in images or not (path.name.startswith(".") or path.suffix.lower() in NO_IMAGES)
    ]
    if count:
        names = some([str(path.relative_to(folder)) for path in count], 10)
        yield Problem(str(folder), f"{counted(len(count), 'broken link')}: {names}", _FETCH)
