"""How the intervals of expected Dice depend on which cases calibrate them.

For predictions with a quality.csv and their scores: draws of n labeled cases calibrate, the others are tested.

    semiseg predict RUN -i IMAGES -o predictions
    semiseg evaluate predictions LABELS --labels 1=liver --metric dice -o predictions/scores
    python tests/benchmarks/expected_dice_draws.py predictions ...
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from semiseg.quality.expected import Quality, read_quality
from semiseg.quality.held_out import Compared, compare, held_out
from semiseg.quality.interval import Curve
from semiseg.scoring.table import read_scores

DRAWS = 200
COUNTS = (10, 20, 30)


def tested(cases: list[Compared], n: int, rng: np.random.Generator) -> list[Compared]:
    """Return the cases that a draw leaves, with the expected Dice by the n cases that it draws."""
    drawn = set(rng.choice(len(cases), n, replace=False).tolist())
    known = [cases[index] for index in drawn]
    curve = Curve([c.quality.agreement for c in known], [c.dice for c in known], [c.quality.case for c in known])
    left = []
    for index, case in enumerate(cases):
        if index not in drawn:
            row = case.quality
            found = curve(row.agreement)
            again = Quality(row.case, row.structure, found.dice, found.low, found.high, row.agreement, row.likeness, "")
            left.append(Compared(again, case.dice))
    return left


def lines(folder: Path) -> Iterator[str]:
    """Yield a table's rows for a folder of predictions."""
    compared = compare(read_quality(folder / "quality.csv"), read_scores(folder / "scores" / "scores.csv"))
    for structure in dict.fromkeys(one.quality.structure for one in compared):
        cases = [
            one
            for one in compared
            if one.quality.structure == structure and one.quality.agreement is not None and one.dice is not None
        ]
        for n in COUNTS:
            rng = np.random.default_rng(0)
            found = [held_out(tested(cases, n, rng))[0] for _ in range(DRAWS)]
            coverage = [one.coverage for one in found]
            low, high = np.quantile(coverage, [0.05, 0.95])
            error, width = (np.mean([getattr(one, name) for one in found]) for name in ("mean_error", "width"))
            share = f"{np.mean(coverage):.0%} ({low:.0%} to {high:.0%})"
            yield f"| {folder.name} | {structure} | {n} | {share} | {width:.3f} | {error:.3f} |"


if __name__ == "__main__":
    print("| predictions | class | calibrated on | within the interval (90 % of draws) | width | mean error |")
    print("|---|---|---|---|---|---|")
    for name in sys.argv[1:]:
        print("\n".join(lines(Path(name))))
