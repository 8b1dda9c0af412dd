"""The unlabeled cases of a run as candidates of a rule, measured in memory: for rounds that are simulated."""

from collections.abc import Mapping, Sequence
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
from semiseg.suggestion.pool import find_pool
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
    measuring = Measuring(rule, rule, networks, run.runtime.device)
    measured: dict[str, Measured] = {}
    labeled: list[Features] = []
    problems: list[Problem] = []

    def measure(case: Case) -> None:
        measured[case.id] = measuring.measure(case, pool.dataset)

    def features(case: Case) -> None:
        labeled.append(np.array(measuring.features(case, pool.dataset)))

    works = [(measure, pool.cases)] if rule.members or rule.uses_features else []
    works += [(features, pool.labeled)] if rule.uses_features else []
    with reporter.work("measuring cases", sum(len(cases) for _, cases in works), unit="case") as meter:
        for work, cases in works:
            for case in cases:
                problems += problems_of(case, partial(work, case))
                meter.advance()
    raise_all(problems, DataError)
    return Candidates(tuple(patients(pool.cases, measured)), tuple(labeled))


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
