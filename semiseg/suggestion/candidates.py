"""The unlabeled cases of runs as candidates of a rule, measured by their networks."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from semiseg.data.verify import problems_of
from semiseg.errors import DataError, Problem, raise_all
from semiseg.interfaces.acquisition import Acquisition, Candidate, Features
from semiseg.prediction.ensemble import LoadedRun
from semiseg.progress import Reporter
from semiseg.suggestion.measuring import Measured, Measuring
from semiseg.suggestion.networks import find_networks, require_fitting
from semiseg.suggestion.pool import Pool, find_pool
from semiseg.types import Case


@dataclass(frozen=True)
class Candidates:
    """What a rule chooses from: the candidates, and the features of the labeled cases if it uses any."""

    candidates: tuple[Candidate, ...]
    labeled: tuple[Features, ...] = ()


def unlabeled_candidates(
    run: LoadedRun, rule: Acquisition, name: str, checkpoint: str, reporter: Reporter
) -> Candidates:
    """Return the patients of a run's unlabeled cases, measured by its networks as far as the rule needs it.

    Raises RunError if the rule does not fit the run, or its data are missing; DataError for images that cannot be read.
    """
    networks = find_networks([run], checkpoint, None, reporter)
    require_fitting(rule, name, networks, [run])
    pool = find_pool([run], None, with_labeled=rule.uses_features)
    return measured_candidates(Measuring(rule, rule, networks, run.runtime.device), pool, reporter)


def measured_candidates(
    measuring: Measuring,
    pool: Pool,
    reporter: Reporter,
    known: Mapping[str, Measured] | None = None,
    keep: Callable[[str, Measured], None] = lambda case, measured: None,
) -> Candidates:
    """Return the patients of a pool and the features of its labeled cases, as far as the rule needs them.

    ``known`` are cases measured before; ``keep`` is called with each one that is measured now. Raises DataError, with
    all problems.
    """
    rule, found = measuring.rule, dict(known or {})
    labeled: list[Features] = []

    def measure(case: Case) -> None:
        found[case.id] = measuring.measure(case, pool.dataset)
        keep(case.id, found[case.id])

    if rule.members or rule.uses_features:
        _work("measuring cases", measure, pool.cases, found.keys(), reporter)
    if rule.uses_features and (own := pool.own) is not None:

        def features(case: Case) -> None:
            labeled.append(np.array(measuring.features(case, own)))

        _work("measuring labeled cases", features, pool.labeled, (), reporter)
    return Candidates(tuple(patients(pool.cases, found)), tuple(labeled))


def _work(
    name: str, measure: Callable[[Case], None], cases: Sequence[Case], done: Collection[str], reporter: Reporter
) -> None:
    left, problems = [case for case in cases if case.id not in done], list[Problem]()
    with reporter.work(name, len(cases), len(cases) - len(left), unit="case") as meter:
        for case in left:
            problems += problems_of(case, partial(measure, case))
            meter.advance()
    raise_all(problems, DataError)


def patients(cases: Sequence[Case], measured: Mapping[str, Measured]) -> list[Candidate]:
    """Return the patients, each with the mean of its cases' numbers."""
    by_patient: dict[str, list[str]] = {}
    for case in cases:
        by_patient.setdefault(case.patient, []).append(case.id)
    found = []
    for patient in sorted(by_patient):
        ids = sorted(by_patient[patient])
        own = [measured.get(one, Measured()) for one in ids]
        values = [one.uncertainty for one in own if not one.empty]
        rows = [one.features for one in own if one.features is not None]
        features = np.mean(np.array(rows, np.float64), axis=0) if rows else None
        empty = tuple(one for one, numbers in zip(ids, own, strict=True) if numbers.empty)
        found.append(Candidate(patient, tuple(ids), float(np.mean(values)) if values else 0.0, empty, features))
    return found
