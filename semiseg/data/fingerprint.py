"""A dataset's fingerprint apart from a case's own files: its class and code, its options and the files they name."""

import hashlib
import inspect
import json
import sys
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from semiseg.data.digests import Digests
from semiseg.errors import DataError, Problem
from semiseg.interfaces.dataset import Dataset
from semiseg.recipe.adopted import AdoptedLabels
from semiseg.recipe.lasting import lasting_text


def describe_reader(dataset: Dataset, digests: Digests) -> list[Any]:
    """Return values for JSON that differ whenever two datasets may read the same files differently.

    For an option that is the path of a file, the file's content counts, not its location; a relative path is also
    looked up in the folders of other options. Folders are ignored, so that data may move: what a case reads from them
    are its own files. A path that does not exist counts as text.

    Raises DataError, naming the option, for an unreadable file, and ComponentError for an object whose description
    contains its address, or an array that cannot be read.
    """
    if isinstance(dataset, AdoptedLabels):  # adopted labels count by the content of their files
        dataset = dataset.inner
    cls, options = type(dataset), dict(dataset.options)
    if options.get("ignore", 0) is None:  # entries of earlier versions, without this option, remain valid
        del options["ignore"]
    folders = [value for value in options.values() if isinstance(value, Path) and _holds(value)]
    described = {name: _described(name, value, folders, digests) for name, value in options.items()}
    code = code_digest(cls)
    own = [cls.version, code] if code or cls.version != 1 else []  # FORMAT covers semiseg's own code
    return [f"{cls.__module__}.{cls.__qualname__}", described, list(dataset.info().modalities), *own]


def _holds(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # reported when it is described
        return False


def _described(name: str, value: Any, folders: Sequence[Path], digests: Digests) -> Any:
    def part(inner: Any) -> Any:
        return _described(name, inner, folders, digests)

    if isinstance(value, Path):
        return _described_path(name, value, folders, digests)
    if isinstance(value, BaseModel):
        value = dict(value)
    elif is_dataclass(value) and not isinstance(value, type):
        value = {entry.name: getattr(value, entry.name) for entry in fields(value)}
    if isinstance(value, Mapping):  # as pairs, since keys may not be text
        return _ordered([part(key), part(inner)] for key, inner in value.items())
    if isinstance(value, Set):
        return _ordered(map(part, value))
    if isinstance(value, list | tuple):
        return [part(inner) for inner in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return lasting_text(value, f"Option {name} of the dataset")


def _described_path(name: str, path: Path, folders: Sequence[Path], digests: Digests) -> list[str]:
    found = [path] if path.is_absolute() else [path, *(folder / path for folder in folders)]
    try:
        places = list(dict.fromkeys(place.resolve() for place in found))
        if any(place.is_dir() for place in places):
            return ["folder"]
        contents = [digests.of(place) for place in places if place.is_file()]
    except OSError as error:
        what = f"{path} cannot be read: {error.strerror or error}"
        raise DataError(Problem(f"dataset.{name}", what, "Check the path and its permissions.")) from error
    return ["file", *contents] if contents else ["path", str(path)]


def _ordered(values: Any) -> list[Any]:
    return sorted(values, key=lambda value: json.dumps(value, default=str))


_OTHERS = {"semiseg", *sys.stdlib_module_names}


def code_digest(cls: type) -> str:
    """Return the SHA-256 of the source files of a class and its bases; "" for semiseg's own classes.

    These are all Python files of the class's package, and the modules of its bases in other packages. For a class
    defined in a notebook it is the class's own source; in a shell, which keeps no source, nothing.
    """
    texts = [] if _top(cls) in _OTHERS else _package(cls)
    for base in cls.__mro__[1:]:
        if _top(base) not in {_top(cls), *_OTHERS}:
            texts += _module(base)
    return hashlib.sha256(b"\0".join(texts)).hexdigest() if texts else ""


def _top(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def _package(cls: type) -> list[bytes]:
    folders = getattr(sys.modules.get(_top(cls)), "__path__", ())
    files = sorted(path for folder in folders for path in Path(folder).rglob("*.py"))
    return [path.read_bytes() for path in files] or _module(cls)


def _module(cls: type) -> list[bytes]:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    with suppress(OSError, TypeError):
        return [Path(file).read_bytes() if file else inspect.getsource(cls).encode()]
    return []
