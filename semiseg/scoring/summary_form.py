"""The required structure of summary.json; other keys are allowed."""

from pydantic import BaseModel

_Interval = tuple[float | None, float | None] | None


class _Whole(BaseModel):
    n: int
    mean: float | None
    interval: _Interval


class _Part(_Whole):
    std: float | None
    median: float | None
    q1: float | None
    q3: float | None
    missed: int
    spurious: int
    both_empty: int


class _Worst(BaseModel):
    case: str
    value: float | None


class _Block(BaseModel):
    unit: str
    classes: dict[str, _Part]
    foreground: _Whole
    regions: dict[str, _Part] = {}
    all_regions: _Whole | None = None
    worst: list[_Worst]


class _Scores(BaseModel):
    policy: str
    checkpoints: dict[str, dict[str, _Block]]


class _Cases(BaseModel):
    test: int
    validation: int
    labeled: int
    unlabeled: int


class RunSummary(BaseModel):
    """A run's summary.json."""

    name: str
    cases: _Cases
    weights: dict[str, str]
    table: str | None = None
    """SHA-256 of scores.csv, which earlier versions did not store."""
    best_is_last: bool = False
    scores: _Scores
