"""Label savings and closed gaps in words."""

import pytest

from semiseg.statistics.gap_closed import GapClosed
from semiseg.statistics.label_savings import LabelSavings
from semiseg.study_report.text.savings_sentences import gap_clause, gap_sentence, savings_clause, savings_sentence


class TestSavings:
    def found(self, worth=41.2, side="", low=32.6, low_side="", high=52.4, high_side="", between=None, falls=None):
        return LabelSavings(25, worth, side, low, low_side, high, high_side, 0.0, 0.0, (12, 100), between, falls)

    @pytest.mark.parametrize(
        ("parts", "expected"),
        [
            ({}, "cps with 25 labels is worth 41 supervised labels (95 % interval 33 to 52)."),
            (
                {"high": None, "high_side": "above"},
                "cps with 25 labels is worth 41 supervised labels (95 % interval 33 to more than 100: the supervised"
                " curve covers 12 to 100 labels and is not extrapolated).",
            ),
            (
                {"low": None, "low_side": "below", "high": None, "high_side": "above"},
                "cps with 25 labels is worth 41 supervised labels (95 % interval fewer than 12 to more than 100: the"
                " supervised curve covers 12 to 100 labels and is not extrapolated), possibly no saving.",
            ),
            (
                {"worth": None, "side": "above", "low": 80.0, "high": None, "high_side": "above"},
                "cps with 25 labels scored better than supervised with 100, the end of its curve; nothing is"
                " extrapolated (95 % interval 80 to more than 100).",
            ),
            (
                {"worth": None, "side": "above", "low": None, "low_side": "above", "high": None, "high_side": "above"},
                "cps with 25 labels scored better than supervised with 100, the end of its curve; nothing is"
                " extrapolated (the whole 95 % interval is more than 100).",
            ),
            (
                {"worth": None, "side": "below", "low": None, "low_side": "below", "high": 14.0},
                "cps with 25 labels scored worse than supervised with 12, the start of its curve; nothing is"
                " extrapolated (95 % interval fewer than 12 to 14).",
            ),
            (
                {"low": 20.0},
                "cps with 25 labels is worth 41 supervised labels (95 % interval 20 to 52), possibly no saving.",
            ),
            (
                {"between": (25, 100)},
                "cps with 25 labels is worth 41 supervised labels (95 % interval 33 to 52); no model was trained"
                " between 25 and 100: the number is interpolated.",
            ),
            (
                {"falls": (12, 50)},
                "cps with 25 labels is worth 41 supervised labels (95 % interval 33 to 52); supervised is worse with 50"
                " labels than with 12, and its curve is flattened there.",
            ),
            (
                {"between": (25, 50)},
                "cps with 25 labels is worth 41 supervised labels (95 % interval 33 to 52).",
            ),
            (
                {"worth": 9.96, "low": 4.04, "high": 9.94},
                "cps with 25 labels is worth 10 supervised labels (95 % interval 4.0 to 9.9).",
            ),
        ],
    )
    def test_in_every_situation(self, parts, expected):
        assert savings_sentence(self.found(**parts), "cps", "supervised") == expected

    @pytest.mark.parametrize(
        ("parts", "expected"),
        [
            ({}, "25 → 41 (33 to 52)"),
            ({"low": 20.0}, "25 → 41 (20 to 52), possibly no saving"),
            ({"worth": 9.94, "low": 4.04, "high": 9.96}, "25 → 9.9 (4.0 to 10)"),
            (
                {"worth": None, "side": "above", "low": 80.0, "high": None, "high_side": "above"},
                "25 → more than 100 (80 to more than 100)",
            ),
            (
                {"worth": None, "side": "below", "low": None, "low_side": "below", "high": 14.0},
                "25 → fewer than 12 (fewer than 12 to 14)",
            ),
        ],
    )
    def test_in_short(self, parts, expected):
        assert savings_clause(self.found(**parts)) == expected


@pytest.mark.parametrize(
    ("share", "interval", "reason", "expected"),
    [
        (
            0.616,
            (0.41, 0.8),
            "",
            "cps with 25 labels closes 62 % of the gap between supervised with 25 and with 100 labels"
            " (95 % interval 41 to 80 %).",
        ),
        (
            -0.12,
            (-0.3, 0.05),
            "",
            "cps with 25 labels closes none of the gap between supervised with 25 and with 100 labels, and is worse by"
            " 12 % of it (95 % interval of the share closed -30 to 5 %), possibly none.",
        ),
        (
            0.5,
            None,
            "in 0.3 % of the bootstrap samples there is no gap to close",
            "cps with 25 labels closes 50 % of the gap between supervised with 25 and with 100 labels"
            " (no interval: in 0.3 % of the bootstrap samples there is no gap to close).",
        ),
        (
            None,
            None,
            "the baseline is no better with 100 labels than with 25",
            "The share of the gap between supervised with 25 and with 100 labels that cps with 25 labels closes is"
            " undefined: the baseline is no better with 100 labels than with 25.",
        ),
    ],
)
def test_a_closed_gap_in_every_situation(share, interval, reason, expected):
    found = GapClosed(25, 100, share, interval, 0.1, (0.05, 0.15), reason)
    assert gap_sentence(found, "cps", "supervised") == expected


@pytest.mark.parametrize(
    ("share", "interval", "expected"),
    [
        (0.616, (0.41, 0.8), "62 % with 25 labels (41 to 80 %)"),
        (0.5, None, "50 % with 25 labels (no interval)"),
        (None, None, "undefined with 25 labels"),
    ],
)
def test_a_closed_gap_in_short(share, interval, expected):
    assert gap_clause(GapClosed(25, 100, share, interval, 0.1, (0.05, 0.15), "")) == expected
