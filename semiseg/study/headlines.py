"""The beginning of a study's report: few sentences that answer what the reader came for."""

from collections.abc import Iterator, Sequence

from semiseg.evaluation.gap_closed import GapClosed
from semiseg.evaluation.label_savings import LabelSavings
from semiseg.evaluation.networks import behind
from semiseg.report import table_cells as cells
from semiseg.report.arms import StudyResults
from semiseg.report.study_metric import StudyMetric, study_metric
from semiseg.report.study_pairs import NOT_TOLD_APART, Pair, adjusted_p, verdict_on
from semiseg.study.answers import Answers, answers, control
from semiseg.wording import some

_NAMED = 6
_ORDER = ("better", "worse", "mixed", NOT_TOLD_APART)


def headlines(results: StudyResults, found: Sequence[Answers], metric: StudyMetric, checkpoint: str) -> tuple[str, ...]:
    """What was compared, whether unlabeled cases helped, how many labels that is, and how sure it is."""
    return tuple(_headlines(results, found, metric, checkpoint))


def _headlines(results: StudyResults, found: Sequence[Answers], metric: StudyMetric, checkpoint: str) -> Iterator[str]:
    models, seeds = sum(len(arm.runs) for arm in results.arms), seeds_of(results)
    cases = max((pair.mean.n for answer in found for pair in answer.pairs), default=None)
    tested = f", {cases} test cases" if cases else ""
    yield f"{_plural(models, 'model')} with scores, {_seeds(seeds)}{tested}, {checkpoint} weights."
    if results.missing:
        yield f"{_plural(len(results.missing), 'model')} without scores yet: {some(results.missing, _NAMED)}."
    verdicts = _verdicts(found, metric)
    for answer in found:
        if answer.pairs:
            yield _helped(answer, metric, results.baseline, verdicts)
    if found:
        yield _certainty(seeds, sum(len(answer.pairs) for answer in found))
    for answer in found:
        yield from _labels(answer, results.baseline)
    yield from _behind(results)
    yield from _controls(results, metric)
    yield from _others(results, metric)


def seeds_of(results: StudyResults) -> set[int]:
    """How many seeds the arms have."""
    return {len(arm.runs) for arm in results.arms}


def _verdicts(found: Sequence[Answers], metric: StudyMetric) -> dict[int, str]:
    """By the identity of a pair, with Holm's correction over all of them."""
    pairs = [pair for answer in found for pair in answer.pairs]
    return {id(pair): verdict_on(pair, p, metric) for pair, p in zip(pairs, adjusted_p(pairs), strict=True)}


def _helped(answer: Answers, metric: StudyMetric, baseline: str, verdicts: dict[int, str]) -> str:
    groups = {word: [pair for pair in answer.pairs if verdicts[id(pair)] == word] for word in _ORDER}
    parts = [f"{word} with {_counts(pairs)}" for word, pairs in groups.items() if pairs]
    return (
        f"Did unlabeled cases help? {_name(answer)} beside {baseline}, by {metric.title}: {'; '.join(parts)}"
        f" labels ({_range(answer.pairs, metric)}; per count with intervals below)."
    )


def _labels(answer: Answers, baseline: str) -> Iterator[str]:
    if answer.savings:
        worth = "; ".join(_worth(one) for one in answer.savings) + answer.savings[0].levelled(baseline)
        yield f"How many labels is that? {_name(answer)} scores like {baseline} with: {worth}."
    for reason in answer.unsaid:
        yield f"Not worked out for {_name(answer)}: {reason}"
    if answer.gaps:
        full = answer.gaps[0].full_labeled
        shares = "; ".join(_share(gap) for gap in answer.gaps)
        yield f"Of the gap to all {full} labels {_name(answer)} closes: {shares}."


def _controls(results: StudyResults, metric: StudyMetric) -> Iterator[str]:
    for setting, method, pairs in control(results, metric):
        where = f" ({setting})" if setting else ""
        yield f"Control: {method}{where} without unlabeled cases: {_range(pairs, metric)}."


def _behind(results: StudyResults) -> Iterator[str]:
    """Networks that their pair's mean hides, each run once with its worst."""
    found = [
        f"{run.name}: {min(far, key=lambda one: one.dice - one.best)}"
        for arm in results.arms
        for run, log in zip(arm.runs, arm.logs, strict=False)
        if (far := behind(log))
    ]
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        yield f"Networks by themselves, on validation cases, far behind the others: {'; '.join(found[:_NAMED])}{more}."


def _others(results: StudyResults, metric: StudyMetric) -> Iterator[str]:
    for name in results.metrics:
        if name == metric.name:
            continue
        other = study_metric(results, name)
        found = answers(results, other, savings=False)
        verdicts = _verdicts(found, other)
        words = [verdicts[id(pair)] for answer in found for pair in answer.pairs]
        said = ", ".join(f"{word} at {words.count(word)}" for word in _ORDER if word in words)
        if said:
            yield f"{other.title}: {said} of {_plural(len(words), 'comparison')}."


def _certainty(seeds: set[int], comparisons: int) -> str:
    family = f"p with Holm's correction over {_plural(comparisons, 'comparison')}" if comparisons > 1 else "p"
    rule = f"Better and worse need both {family} below 0.05, and a 95 % interval without 0."
    alone = "is about these networks, and another seed may change it"
    if max(seeds) < 2:
        return f"How sure? One seed: all of it {alone}. {rule}"
    if min(seeds) >= 10:
        return f"How sure? {rule}"
    one = f" What rests on one seed {alone}." if min(seeds) < 2 else ""
    return f"How sure? {_seeds(seeds)}, which is few: intervals are too narrow in the seeds' part.{one} {rule}"


def _counts(pairs: Sequence[Pair]) -> str:
    return ", ".join(str(pair.shown.labeled) for pair in pairs)


def _range(pairs: Sequence[Pair], metric: StudyMetric) -> str:
    entries = [pair.entry(pair.mean) for pair in pairs]
    found = sorted(entry.difference for entry in entries if entry is not None and entry.difference is not None)
    texts = [cells.number(value, metric.digits, signed=True).text for value in (found[0], found[-1])] if found else []
    return f"{metric.title} {' to '.join(dict.fromkeys(texts))}" if texts else "no value"


def _worth(one: LabelSavings) -> str:
    doubt = ", which may be no saving" if one.may_be_nothing else ""
    interval = f"({one.interval_text()}){doubt}"
    if one.worth is None:
        beyond = f"more than {one.curve_ends[1]}" if one.above else f"fewer than {one.curve_ends[0]}"
        return f"{one.labeled} → {beyond} {interval}"
    return (
        f"{one.labeled} → {one.worth:.0f} {interval}"
        if one.worth >= 9.95
        else f"{one.labeled} → {one.worth:.1f} {interval}"
    )


def _share(gap: GapClosed) -> str:
    if gap.share is None:
        return f"with {gap.labeled} not to be said"
    interval = "no interval" if gap.interval is None else "{:.0f} to {:.0f} %".format(*(100 * e for e in gap.interval))
    return f"with {gap.labeled} labels {100 * gap.share:.0f} % ({interval})"


def _name(answer: Answers) -> str:
    return f"{answer.method} ({answer.setting})" if answer.setting else answer.method


def _seeds(counts: set[int]) -> str:
    if len(counts) == 1:
        return _plural(next(iter(counts)), "seed")
    return f"{min(counts)} to {max(counts)} seeds"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
