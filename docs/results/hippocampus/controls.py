"""Compare a study's methods with their controls, from tables of scores, as in its report but without its folder.

python docs/results/hippocampus/controls.py docs/results/hippocampus/dice_ce/scores.csv …

Runs are named as a study names them (``cps_8of8_s2``: 8 labeled cases of 8 in all, seed 2).
"""

import re
import sys
from functools import cache
from pathlib import Path

from semiseg.comparison.read import ScoredRun
from semiseg.render.table_markup import as_markdown
from semiseg.scoring.table import read_scores
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_controls import controlled
from semiseg.study_report.study_metric import study_metric
from semiseg.study_report.study_pairs import make_pair
from semiseg.study_report.tables.control_table import control_table
from semiseg.study_report.text.control_sentences import control_headlines

ALL = 140


def results(paths: list[Path]) -> StudyResults:
    """The last weights' scores of all runs, by method and number of cases."""
    runs: dict[str, dict] = {}
    for score in (score for path in paths for score in read_scores(path)):
        if score.checkpoint == "last":
            runs.setdefault(score.run, {})[score.metric, score.class_name, score.case] = score
    arms: dict[tuple[str, int, int], list[ScoredRun]] = {}
    for name, scores in runs.items():
        method, labeled, total, seed = re.fullmatch(r"(.+?)_(\w+?)(?:of(\w+))?_s(\d+)", name).groups()
        n_labeled, n_total = (ALL if n in ("all", None) else int(n) for n in (labeled, total))
        run = ScoredRun(Path(name), "last", scores, {"name": name, "seed": int(seed)}, {})
        arms.setdefault((method, n_labeled, n_total), []).append(run)
    return StudyResults("", "supervised", tuple(StudyArm("", *key, tuple(arms[key])) for key in sorted(arms)), ALL)


if __name__ == "__main__":
    found, make = results([Path(path) for path in sys.argv[1:]]), cache(make_pair)
    for metric in (study_metric(found, name) for name in found.metrics):
        print(*control_headlines(found, controlled(found, metric, make), metric), sep="\n")
        print(as_markdown(control_table(found, metric, make)))
