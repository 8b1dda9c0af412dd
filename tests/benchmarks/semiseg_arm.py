"""Semiseg's side of test_beside_nnunet: a run, with the CPU seconds of its parts.

python semiseg_arm.py RECIPE RUN RESULT.json [KEY=VALUE ...]
"""

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

import torch

import semiseg
from semiseg.progress import Meter, Reporter


def seconds():
    """CPU seconds of this process and of those that it has started and that have ended."""
    return sum(usage.ru_utime + usage.ru_stime for usage in (getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)))


class Clock(Reporter):
    """Takes the CPU seconds of each piece of work."""

    def __init__(self):
        self.spent, self.total = {}, {}

    @contextmanager
    def work(self, title, total, done=0, unit=""):
        start = seconds()
        yield Meter()
        self.spent[title] = seconds() - start
        self.total[title] = total


def main(recipe, run, result, *overrides):
    """Train, predict and score, and write what it took."""
    torch.set_num_threads(1)
    clock = Clock()
    semiseg.run(recipe, run, overrides=overrides, resume=True, reporter=clock)
    Path(result).write_text(
        json.dumps(
            {
                "steps": clock.total["training"],
                "preparing": clock.spent["reading cases"],
                "training": clock.spent["training"],
                "predicting": clock.spent["predicting test cases"],
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
