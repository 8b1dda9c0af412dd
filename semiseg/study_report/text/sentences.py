"""Sentences on the labels that a study's methods save."""

from collections.abc import Sequence

from semiseg.study_report.findings import Finding
from semiseg.study_report.text.savings_sentences import gap_sentence, savings_sentence


def savings_sentences(found: Sequence[Finding], baseline: str) -> tuple[str, ...]:
    """Return the labels that each method is worth, and the share of the gap that it closes."""
    said: list[str] = []
    for finding in found:
        name = named(finding.method, finding.setting)
        said += [savings_sentence(one, name, baseline) for one in finding.savings]
        said += [gap_sentence(gap, name, baseline) for gap in finding.gaps]
        said += [f"Not computed for {name}: {reason}" for reason in finding.not_computed]
    return tuple(said)


def named(method: str, setting: str) -> str:
    """Return a method's name, with the setting if the study has several: ``cps (unetr)``."""
    return f"{method} ({setting})" if setting else method
