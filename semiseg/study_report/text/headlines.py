"""The opening sentences of a study's report, with the main results."""

from collections.abc import Iterator, Sequence

from semiseg.messages import counted, some
from semiseg.render import cells
from semiseg.runs.lagging_networks import behind
from semiseg.study_report.findings import Finding, findings
from semiseg.study_report.results import StudyResults
from semiseg.study_report.study_controls import Controlled, controlled, without_unlabeled
from semiseg.study_report.study_metric import StudyMetric, study_metric
from semiseg.study_report.study_pairs import NOT_JUDGED, NOT_SIGNIFICANT, MakePair, Pair, make_pair, verdicts_on
from semiseg.study_report.text.control_sentences import control_headlines
from semiseg.study_report.text.savings_sentences import flattened, gap_clause, savings_clause
from semiseg.study_report.text.sentences import named
from semiseg.study_report.text.untrained_sentences import untrained_headlines
from semiseg.study_report.untrained import nothing_is_judged

_NAMED = 6
_ORDER = ("better", "worse", "mixed", NOT_SIGNIFICANT, NOT_JUDGED)


def headlines(
    results: StudyResults,
    found: Sequence[Finding],
    metric: StudyMetric,
    checkpoint: str,
    make: MakePair = make_pair,
) -> tuple[str, ...]:
    """Return what was compared, whether methods and unlabeled cases helped, the labels saved, and the certainty."""
    return tuple(_headlines(results, found, metric, checkpoint, make))


def _headlines(
    results: StudyResults, found: Sequence[Finding], metric: StudyMetric, checkpoint: str, make: MakePair
) -> Iterator[str]:
    models = sum(len(arm.runs) for arm in results.arms)
    cases = max((pair.mean.n for finding in found for pair in finding.pairs), default=None)
    tested = f", {cases} test cases" if cases else ""
    yield f"{counted(models, 'model')} with scores, {_repeated(results)}{tested}, {checkpoint} weights."
    if results.missing:
        yield f"{counted(len(results.missing), 'model')} without scores yet: {some(results.missing, _NAMED)}."
    yield from untrained_headlines(results, found)
    if nothing_is_judged(results):
        return
    verdicts = iter(verdicts_on(_pairs(found), metric))
    for finding in found:
        if finding.pairs:
            yield _helped(finding, metric, results, [next(verdicts) for _ in finding.pairs])
    controls = controlled(results, metric, make)
    yield from control_headlines(results, controls, metric)
    if found:
        yield _certainty(results, len(_pairs(found)), len(_pairs(controls)))
    for finding in found:
        yield from _labels(finding, results)
    yield from _behind(results)
    yield from _alone(results, metric, make)
    yield from _others(results, metric, make)


def seeds_of(results: StudyResults) -> set[int]:
    """Return the set of the arms' numbers of seeds, or of folds of a single seed."""
    return {len(arm.seeds) for arm in results.arms}


def _pairs(found: Sequence[Finding | Controlled]) -> list[Pair]:
    """Return the pairs in which two arms are compared."""
    return [pair for one in found for pair in one.pairs if pair.baseline is not None]


def _helped(finding: Finding, metric: StudyMetric, results: StudyResults, verdicts: Sequence[str]) -> str:
    judged = list(zip(finding.pairs, verdicts, strict=True))
    groups = {word: [pair for pair, verdict in judged if verdict == word] for word in _ORDER}
    parts = [f"{word} with {_counts(pairs)}" for word, pairs in groups.items() if pairs]
    shown = [pair for pair in finding.pairs if not pair.withheld]
    figures = f" ({_range(shown, metric)}; intervals for each count below)" if shown else ""
    compared = f"{_name(finding)} compared with {results.baseline}"
    question = "Did the method help?"
    if rule := results.rules.get(finding.method):
        question, compared = f"Did choosing by {rule} help?", f"{compared}, whose cases are drawn at random"
    return f"{question} {compared}, by {metric.title}: {'; '.join(parts)} labels{figures}."


def _labels(finding: Finding, results: StudyResults) -> Iterator[str]:
    if finding.savings:
        baseline, rule = results.baseline, results.rules.get(finding.method)
        worth = "; ".join(map(savings_clause, finding.savings)) + flattened(finding.savings[0], baseline)
        question, like = "How many labels is that?", "with this many labels"
        if rule:
            question, like = "How many random labels is that?", "with this many drawn at random"
        yield f"{question} {_name(finding)} scores like {baseline} {like}: {worth}."
    for reason in finding.not_computed:
        yield f"Not computed for {_name(finding)}: {reason}"
    if finding.gaps:
        full = finding.gaps[0].full_labeled
        shares = "; ".join(map(gap_clause, finding.gaps))
        yield f"{_name(finding)} closes this share of the gap to all {full} labels: {shares}."


def _alone(results: StudyResults, metric: StudyMetric, make: MakePair) -> Iterator[str]:
    for setting, method, all_pairs in without_unlabeled(results, metric, make):
        pairs = [pair for pair in all_pairs if not pair.withheld]
        if not pairs:
            continue
        compared = f"{named(method, setting)} compared with {results.baseline} with {_counts(pairs)} labels"
        yield f"Without unlabeled cases, {compared}: {_range(pairs, metric)}."


def _behind(results: StudyResults) -> Iterator[str]:
    """Yield a sentence on networks far behind the others of their run, naming each run once with its worst."""
    found = [
        f"{run.name}: {min(far, key=lambda one: one.dice - one.best)}"
        for arm in results.arms
        for run, log in zip(arm.runs, arm.logs, strict=False)
        if (far := behind(log))
    ]
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        shown = "; ".join(found[:_NAMED])
        yield f"Single networks far behind the others of their run, on validation cases: {shown}{more}."


def _others(results: StudyResults, metric: StudyMetric, make: MakePair) -> Iterator[str]:
    for name in results.metrics:
        if name == metric.name:
            continue
        other = study_metric(results, name)
        compared: dict[str, Sequence[Finding | Controlled]] = {
            f"compared with {results.baseline}": findings(results, other, make, savings=False),
            "compared with controls": controlled(results, other, make),
        }
        said = [f"{where}, {words}" for where, found in compared.items() if (words := _words(found, other))]
        if said:
            yield f"{other.title}: {'; '.join(said)}."


def _words(found: Sequence[Finding | Controlled], metric: StudyMetric) -> str:
    words = verdicts_on(_pairs(found), metric)
    said = ", ".join(f"{word} in {words.count(word)}" for word in _ORDER if word in words)
    return f"{said} of {counted(len(words), 'comparison')}" if words else ""


def _certainty(results: StudyResults, comparisons: int, controls: int) -> str:
    seeds = seeds_of(results)
    family = f"p with Holm's correction over {counted(comparisons, 'comparison')}" if comparisons > 1 else "p"
    if controls > 1:
        family += f" (with controls: over {controls})"
    rule = f"Better and worse require {family} below 0.05 and a 95 % interval that excludes 0."
    if results.repeated == "fold":
        return (
            f"How certain? {_repeated(results)}: folds share most of their labeled cases, so intervals understate the "
            f"variation between labeled sets, and another seed may change the result. {rule}"
        )
    if max(seeds) < 2:
        return f"How certain? One seed: this applies to these networks only, and another seed may change it. {rule}"
    if min(seeds) >= 10:
        return f"How certain? {rule}"
    one = " Results of one seed apply to these networks only." if min(seeds) < 2 else ""
    return f"How certain? {_seeds(seeds)} are few: intervals understate the variation between seeds.{one} {rule}"


def _counts(pairs: Sequence[Pair]) -> str:
    return ", ".join(str(pair.shown.labeled) for pair in pairs)


def _range(pairs: Sequence[Pair], metric: StudyMetric) -> str:
    entries = [pair.entry(pair.mean) for pair in pairs]
    found = sorted(entry.difference for entry in entries if entry is not None and entry.difference is not None)
    texts = [cells.number(value, metric.digits, signed=True).text for value in (found[0], found[-1])] if found else []
    return f"{metric.title} {' to '.join(dict.fromkeys(texts))}" if texts else "no value"


def _name(finding: Finding) -> str:
    return named(finding.method, finding.setting)


def _repeated(results: StudyResults) -> str:
    """Return the numbers of seeds and folds."""
    if results.repeated == "fold":
        return f"1 seed, {counted(len(results.folds), 'fold')}"
    said = _seeds(seeds_of(results))
    return f"{said}, {counted(len(results.folds), 'fold')}" if results.folds else said


def _seeds(counts: set[int]) -> str:
    if len(counts) == 1:
        return counted(next(iter(counts)), "seed")
    return f"{min(counts)} to {max(counts)} seeds"
