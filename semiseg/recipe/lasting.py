"""Text forms of values that JSON does not support, equal in every process and different for different content."""

import hashlib
import re
from collections.abc import Mapping, Set
from types import FunctionType
from typing import Any

from semiseg.errors import ComponentError

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_PLAIN = (str, int, float, complex, bytes)


def lasting_text(value: Any, what: str) -> str:
    """Return a text for a value. Arrays, also within objects, are given by content, since their repr is rounded.

    Raises ComponentError, calling the value ``what``, for an object whose repr has its address, and for an array that
    cannot be read.
    """
    if isinstance(value, type | FunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    if hasattr(value, "__array__"):
        return _array(value, what)
    text = repr(value)
    if _ADDRESS.search(text):
        fix = "Results cached with it cannot be found again. Use a pydantic model or a dataclass, or define __repr__."
        raise ComponentError(f"{what} contains {text}, whose repr is different in every process.", fix)
    held = _held(vars(value), what, (id(value),)) if getattr(value, "__dict__", None) else ""
    return f"{text} {_digest(held.encode())}" if "sha256:" in held else text


def _array(value: Any, what: str) -> str:
    """Return type, shape and SHA-256 of the content."""
    import numpy as np

    try:
        array = np.asarray(_in_memory(value))
    except Exception as error:  # whatever a library's own array raises
        fix = "Give a numpy array, or make the option a path to a file."
        raise ComponentError(f"{what} contains an array that cannot be read: {error}.", fix) from error
    if array.dtype.hasobject:
        content = _held(array.tolist(), what, ()).encode()
    else:
        content = np.ascontiguousarray(array).tobytes()
    if isinstance(value, np.ma.MaskedArray):
        content += np.ma.getmaskarray(value).tobytes()
    kind = re.sub(r"\s+", "", f"{type(value).__qualname__}:{array.dtype}")
    named = "" if isinstance(value, np.ndarray | np.generic) or hasattr(value, "detach") else f" {value!r}"
    return f"{kind} {list(array.shape)} {_digest(content)}{named}"  # a table has names besides its values


def _in_memory(value: Any) -> Any:
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu()
    return tensor.double() if str(tensor.dtype) == "torch.bfloat16" else tensor  # numpy has no bfloat16


def _held(value: Any, what: str, within: tuple[int, ...]) -> str:
    """Return an object's content as text; only the type if it has no lasting text or contains itself."""
    if value is None or isinstance(value, _PLAIN):
        return repr(value)
    if id(value) in within:
        return type(value).__qualname__
    within = (*within, id(value))
    if isinstance(value, Mapping):
        return f"{{{','.join(sorted(f'{_held(k, what, within)}:{_held(v, what, within)}' for k, v in value.items()))}}}"
    if isinstance(value, Set | list | tuple):
        parts = [_held(inner, what, within) for inner in value]
        return f"[{','.join(sorted(parts) if isinstance(value, Set) else parts)}]"
    if hasattr(value, "__array__"):
        return _array(value, what)
    held = _held(vars(value), what, within) if hasattr(value, "__dict__") and not callable(value) else ""
    return type(value).__qualname__ + held


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
