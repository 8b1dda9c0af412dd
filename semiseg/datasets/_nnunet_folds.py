"""The splits_final.json of nnU-Net: training and validation cases of each fold."""

import json
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiseg.errors import DataError, Problem, raise_all
from semiseg.messages import counted, some

FILE = "splits_final.json"
_NAMED = 5
_WRITE = 'Write [{"train": ["a", "b"], "val": ["c"]}, …], with an entry for each fold.'


@dataclass(frozen=True, slots=True)
class Fold:
    """Case ids of one fold."""

    train: tuple[str, ...]
    val: tuple[str, ...]


def read_folds(path: Path) -> tuple[Fold, ...]:
    """Return the folds of a file. Raises DataError if it cannot be read or is not a list of folds."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise DataError(
            Problem(str(path), "file not found", "Set dataset.splits to nnU-Net's file of folds.")
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(Problem(str(path), f"it cannot be read as JSON: {error}", _WRITE)) from error
    if not isinstance(found, list) or not found or not all(map(_is_fold, found)):
        raise DataError(Problem(str(path), "it is not a list of folds with train and val", _WRITE))
    return tuple(Fold(*(tuple(map(_composed, fold[key])) for key in ("train", "val"))) for fold in found)


def validation_folds(path: Path, folds: Sequence[Fold], ids: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """Return the validation ids of each fold, in order, if each of the training cases ``ids`` is in exactly one.

    Raises DataError with all problems.
    """
    raise_all([Problem(str(path), *found) for found in _problems(folds, set(ids))], DataError)
    return tuple(tuple(sorted(fold.val)) for fold in folds)


def fold_notes(path: Path, folds: Sequence[Fold], ids: Collection[str]) -> Iterator[str]:
    """Yield remarks on folds that cannot be used, or whose training lists leave out cases."""
    if problems := list(_problems(folds, set(ids))):
        what = "; ".join(what for what, _ in problems)
        yield f"{path.name} cannot be used as folds: {what}"
        return
    fewer = [number for number, fold in enumerate(folds) if set(fold.train) | set(fold.val) != set(ids)]
    if fewer:
        where = f"{'fold' if len(fewer) == 1 else 'folds'} {', '.join(map(str, fewer))}"
        yield (
            f"{path.name} leaves training cases out of {where}; only its validation lists are read, and the other cases"
            " of a fold are its training cases"
        )


def _problems(folds: Sequence[Fold], ids: set[str]) -> Iterator[tuple[str, str]]:
    times = Counter(case_id for fold in folds for case_id in fold.val)
    unknown = sorted({case_id for fold in folds for case_id in (*fold.train, *fold.val)} - ids)
    both = sorted({case_id for fold in folds for case_id in {*fold.train} & {*fold.val}})
    twice = sorted(case_id for case_id, count in times.items() if count > 1)
    never = sorted(ids - times.keys())
    empty = [str(number) for number, fold in enumerate(folds) if not fold.val]
    fix = "Each labeled case of imagesTr must be in the validation list of exactly one fold."
    if unknown:
        yield f"{counted(len(unknown), 'case')} in it without image and label: {some(unknown, _NAMED)}", fix
    if both:
        yield f"{_are(both)} in train and val of one fold: {some(both, _NAMED)}", fix
    if twice:
        yield f"{_are(twice)} validated more than once: {some(twice, _NAMED)}", fix
    if never:
        yield f"{_are(never)} validated in no fold: {some(never, _NAMED)}", fix
    if empty:
        yield f"no case is validated in fold {', '.join(empty)}", fix


def _are(ids: Sequence[str]) -> str:
    return f"{counted(len(ids), 'case')} {'is' if len(ids) == 1 else 'are'}"


def _is_fold(item: Any) -> bool:
    return isinstance(item, dict) and all(
        isinstance(item.get(key), list) and all(isinstance(one, str) for one in item[key]) for key in ("train", "val")
    )


def _composed(case_id: str) -> str:
    return unicodedata.normalize("NFC", case_id)
