"""Notes on a comparison that are no reason to refuse it."""

from collections.abc import Callable, Iterator, Sequence

from semiseg.comparison.methods import Method, differing_keys
from semiseg.comparison.read import ScoredRun
from semiseg.comparison.repetitions import are_folds


def notes_on(methods: Sequence[Method], metrics: Sequence[str]) -> list[str]:
    """Return sentences on how the methods were trained, and on what could not be checked."""
    runs = [run for method in methods for run in method.runs]
    return [
        *_differences(methods),
        *_within_methods(methods),
        *_unchecked(runs, metrics),
        *_not_compared(runs, metrics),
    ]


def describe(method: Method) -> str:
    """Describe a method's runs in one line: seeds, labeled cases, checkpoint."""
    seeds, folds = [str(run.seed) for run in method.runs if run.seed is not None], _folds(method)
    if folds:
        seeds = list(dict.fromkeys(seeds))
    parts = [f"{len(method.runs)} {'run' if len(method.runs) == 1 else 'runs'}"]
    if seeds:
        parts.append(f"seed{'' if len(seeds) == 1 else 's'} {', '.join(seeds)}")
    if folds:
        parts.append(f"fold{'' if len(folds) == 1 else 's'} {', '.join(map(str, folds))}")
    parts += [f"{labeled} of {total} cases labeled" for labeled, total in _counts(method)]
    parts += [f"checkpoint {name}" for name in dict.fromkeys(run.checkpoint for run in method.runs) if name]
    return f"{method.name}: {', '.join(parts)}"


def _counts(method: Method) -> list[tuple[int, int]]:
    return list(dict.fromkeys(run.labeled_and_total for run in method.runs if run.labeled_and_total is not None))


def _folds(method: Method) -> list[int]:
    """Return the folds of a method's runs that have the same test cases."""
    return sorted({run.fold for run in method.runs if run.fold is not None})


def _differences(methods: Sequence[Method]) -> Iterator[str]:
    single = [method.name for method in methods if len(method.seeds) == 1]
    if single:
        yield f"Only one seed of {', '.join(single)}: another seed may give different results."
    if len({len(method.seeds) for method in methods}) > 1:
        counted = ", ".join(f"{method.name} {len(method.seeds)}" for method in methods)
        yield f"The methods have different numbers of seeds: {counted}."
    yield from _on_folds(methods)
    counts = {method.name: _counts(method) for method in methods if _counts(method)}
    if len({tuple(found) for found in counts.values()}) > 1:
        said = "; ".join(f"{name} {' or '.join(f'{a} of {b}' for a, b in found)}" for name, found in counts.items())
        yield f"The methods were trained on different numbers of labeled and total cases: {said}."
    elif _apart(methods, lambda run: run.summary.get("cases_hash")):
        yield "The methods were trained on different sets of labeled or unlabeled cases (cases_hash), of the same size."
    if _apart(methods, lambda run: run.summary.get("evaluation_hash")):
        yield "The test cases are the same, but the evaluation_hash is not: validation or unscored test cases differ."
    if _apart(methods, lambda run: run.checkpoint):
        yield "The methods are compared at different checkpoints."


def _on_folds(methods: Sequence[Method]) -> Iterator[str]:
    alone = [method.name for method in methods if are_folds(method.tables)]
    averaged = [method.name for method in methods if len(method.repetitions) < len(method.tables)]
    if alone:
        yield (
            f"Each fold of {', '.join(alone)} counts as a seed. Folds share most of their labeled cases: intervals "
            "understate the variation between labeled sets and between seeds."
        )
    if averaged:
        yield f"Folds are averaged within each seed: {', '.join(averaged)}."
    if len({tuple(_folds(method)) for method in methods}) > 1 and all(map(_folds, methods)):
        yield "The methods have different folds."


def _apart(methods: Sequence[Method], fact: Callable[[ScoredRun], object]) -> bool:
    """Return whether a fact that is known for every run differs between methods."""
    found = [frozenset(fact(run) for run in method.runs) for method in methods]
    return all(None not in facts for facts in found) and len(set(found)) > 1


def _within_methods(methods: Sequence[Method]) -> Iterator[str]:
    for method in methods:
        recipes = [run for run in method.runs if run.recipe]
        keys = dict.fromkeys(key for run in recipes[1:] for key in differing_keys(recipes[0], run))
        if keys:
            yield f"The recipes of {method.name} differ in more than the seed: {', '.join(keys)}."
        if len(method.tables) < len(method.runs):
            yield f"Runs of {method.name} have no test case in common: they are folds and count as one."
        seeds = [(table.seed, table.fold) for table in method.tables if table.seed is not None]
        if len(set(seeds)) < len(seeds):
            yield f"Runs of {method.name} have the same seed; each counts as a separate seed."


def _unchecked(runs: Sequence[ScoredRun], metrics: Sequence[str]) -> Iterator[str]:
    rows = {run.path: [score for key, score in run.scores.items() if key[0] in metrics] for run in runs}
    without = [str(path) for path, scores in rows.items() if not all(score.reference_digest for score in scores)]
    if without:
        yield f"References were checked by their number of voxels only: no digest in {', '.join(without)}."
    without = [str(path) for path, scores in rows.items() if not all(score.definition for score in scores)]
    if without:
        where = ", ".join(without)
        yield f"Metrics were checked by unit, and by version if known: no definition in {where}."


def _not_compared(runs: Sequence[ScoredRun], metrics: Sequence[str]) -> Iterator[str]:
    for metric in dict.fromkeys(metric for run in runs for metric in run.metrics):
        lacking = [str(run.path) for run in runs if metric not in run.metrics]
        if lacking and metric not in metrics:
            yield f"{metric} is not compared: {', '.join(lacking)} does not have it."
