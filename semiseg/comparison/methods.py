"""Methods: groups of runs that differ only in the seed or the fold, with distinct names."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from semiseg.comparison.folds import cases_of, join_folds
from semiseg.comparison.read import ScoredRun, read_run
from semiseg.comparison.repetitions import Repetition, repetitions
from semiseg.errors import DataError, Problem, SemisegError, raise_all
from semiseg.recipe.diff import changes

_SEED_NAME = re.compile(r"[\W_]+(s|seed|f|fold)?[\W_]*$")
_NAMINGS: tuple[Callable[[ScoredRun], str], ...] = (
    lambda run: run.name,
    lambda run: run.folder_name,
    lambda run: str(run.path),
)


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """One or more runs of the same method, each with a different seed or fold."""

    name: str
    runs: tuple[ScoredRun, ...]

    @property
    def tables(self) -> tuple[ScoredRun, ...]:
        """The scores of all test cases: those of a run, or of the folds that share the test cases among them."""
        return join_folds(self.runs)

    @property
    def repetitions(self) -> tuple[Repetition, ...]:
        """The repetitions of the method, which may combine tables of several folds."""
        return repetitions(self.name, self.tables)

    @property
    def seeds(self) -> tuple[int | str, ...]:
        """A name for each repetition: its seed, or, if unknown, one that no other method has."""
        return tuple(one.name for one in self.repetitions)


@dataclass(slots=True)
class _Group:
    given: str | None
    runs: list[ScoredRun]

    def takes(self, name: str | None, run: ScoredRun) -> bool:
        """Return whether a run belongs to this method: by given name, or if only seed, fold or harmless keys differ.

        A run that differs only in the split also belongs if it is another fold, without a test case in common with the
        runs of its seed.
        """
        if name is not None or self.given is not None:
            return name == self.given
        first = self.runs[0]
        if not (first.recipe and run.recipe):
            return False
        keys, cases = differing_keys(first, run), cases_of(run)
        seeds_folds = [cases_of(other) for other in self.runs if other.seed == run.seed]
        return not keys or (
            all(key.partition(".")[0] == "split" for key in keys) and all(map(cases.isdisjoint, seeds_folds))
        )


def differing_keys(first: ScoredRun, second: ScoredRun) -> list[str]:
    """Return the keys, except seed and fold, in which two runs' recipes differ and that can change a result."""
    return [change.key for change in changes(first.recipe, second.recipe) if change.key not in {"seed", "split.fold"}]


def read_methods(
    runs: Sequence[Path | str] | Mapping[str, Sequence[Path | str]], checkpoint: str | None = None
) -> tuple[Method, ...]:
    """Read tables of scores and group them by method, in the order given.

    ``runs`` has paths (``read_run``) or texts ``NAME=PATH``, or maps names to paths. Unnamed runs with a recipe belong
    together if their recipes differ only in the seed, in ``split.fold`` and in keys that do not change results; as
    folds with test cases of their own, they may also differ in the split if they have no test case in common. Methods
    are named by recipe, or by folder if those names are equal. Raises DataError with the problems of all.
    """
    requests = list(_requests(runs))
    groups: list[_Group] = []
    problems = _given_twice(requests)
    for name, path in requests:
        try:
            run = read_run(path, checkpoint)
        except SemisegError as error:
            problems += error.problems
            continue
        group = next((group for group in groups if group.takes(name, run)), None)
        if group is None:
            groups.append(_Group(name, [run]))
        else:
            group.runs.append(run)
    if not problems and len(groups) < 2:
        problems.append(_too_few(groups))
    raise_all(problems, DataError)
    return tuple(
        Method(name, tuple(sorted(group.runs, key=_order))) for name, group in zip(_names(groups), groups, strict=True)
    )


def _order(run: ScoredRun) -> tuple[int, int, str]:
    return run.seed or 0, run.fold or 0, str(run.path)


def _requests(runs: Sequence[Path | str] | Mapping[str, Sequence[Path | str]]) -> list[tuple[str | None, Path]]:
    if isinstance(runs, Mapping):
        return [(name, Path(path)) for name, paths in runs.items() for path in paths]
    return [_parse(run) for run in runs]


def _parse(run: Path | str) -> tuple[str | None, Path]:
    name, sign, path = str(run).partition("=")
    if isinstance(run, Path) or not (name and sign and path) or Path(run).exists():
        return None, Path(run)
    return name, Path(path)


def _given_twice(requests: Sequence[tuple[str | None, Path]]) -> list[Problem]:
    seen, problems = set(), []
    for name, path in requests:
        if (name, path.resolve()) in seen:
            fix = "Give it once. To compare a run with itself, name it twice: A=PATH B=PATH."
            problems.append(Problem(str(path), "is given twice", fix))
        seen.add((name, path.resolve()))
    return problems


def _too_few(groups: Sequence[_Group]) -> Problem:
    fix = "Give runs of another method as well, or name the methods yourself: NAME=PATH."
    if not groups:
        return Problem("", "There is nothing to compare.", fix)
    given, runs = groups[0].given, groups[0].runs
    if given is not None:
        return Problem("", f"All runs are of one method, {given!r}, by the names given.", fix)
    folded = len(join_folds(runs)) < len(runs) or len({run.fold for run in runs}) > 1
    differs = "the fold or the seed" if folded else "the seed"
    return Problem("", f"All runs are of one method, {runs[0].name!r}: only {differs} differs.", fix)


def _names(groups: Sequence[_Group]) -> list[str]:
    given = [group.given for group in groups if group.given is not None]
    names: list[str] = []
    for naming in _NAMINGS:
        names = [group.given or _shared([naming(run) for run in group.runs]) for group in groups]
        if len(set(names)) == len(names):
            return names
    clash = next(name for name in names if names.count(name) > 1)
    fix = "Name the methods yourself: NAME=PATH." if given else "Give each table once."
    raise DataError(f"Two methods would be called {clash!r}.", fix)


def _shared(names: Sequence[str]) -> str:
    """Return the common part of the names of a method's runs: cps of cps_s1 and cps_s2; else the first name."""
    if len(set(names)) == 1:
        return names[0]
    return _SEED_NAME.sub("", os.path.commonprefix(list(names))) or names[0]  # noqa: RUF071 (names, not paths)
