"""A digest of the code that a class was made of, so that what old code read is not taken for what new code would."""

import hashlib
import inspect
import sys
from contextlib import suppress
from pathlib import Path

_OTHERS = {"semiseg", *sys.stdlib_module_names}


def code_digest(cls: type) -> str:
    """SHA-256 of the source files of a class and its bases; "" for semiseg's own classes.

    These are all Python files of the package that the class is in, and the modules of its bases in other packages.
    Of a class that was typed in a notebook it is the class's own text; in a shell, which keeps no text, nothing.
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
