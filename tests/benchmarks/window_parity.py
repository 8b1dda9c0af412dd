"""Whether windows over the foreground box predict as well as windows over the whole volume, with trained networks.

python tests/benchmarks/window_parity.py RUN [RUN …] > cases.csv

Each run's last weights predict its own test cases, which no training saw, in both ways; nothing differs but where the
windows lie. Every case's Dice both ways goes to the standard output; means over cases, the difference (box less whole)
with its bootstrap interval, and the share of voxels that differ, to the standard error.
"""

import csv
import sys
import time
from pathlib import Path

import numpy as np

from semiseg.engine.runtime import Runtime
from semiseg.pipeline.model import kept_model
from semiseg.pipeline.plan import make_plan
from semiseg.preprocessing.prepare import prepare
from semiseg.recipe.load import load_recipe
from semiseg.registry import create
from semiseg.scoring.score_case import score_case
from semiseg.statistics.bootstrap import bootstrap_interval

WAYS = {"box": True, "whole": False}


def score(run: Path) -> list[dict[str, object]]:
    """One row for each test case and class."""
    model = kept_model(run).load("last", Runtime("cpu"))
    plan = make_plan(load_recipe(run / "recipe.yaml", expand=False))
    dataset, classes, metrics = plan.components.dataset, plan.info.classes, {"dice": create("metric", "dice")}
    predictor, rows = model.predictor("cpu"), []
    for case in plan.split.test:
        volume, label = dataset.read_image(case), dataset.read_label(case).array
        found, seconds = {}, {}
        for way, crop in WAYS.items():
            started = time.process_time()
            prepared = prepare(volume, model.recipe.preprocessing.model_copy(update={"crop": crop}))
            found[way] = prepared.restore(predictor.labels(prepared.normalized()))
            seconds[way] = time.process_time() - started
        scores = {
            way: score_case(label, labels, volume.geometry, classes, metrics, case=case.id)
            for way, labels in found.items()
        }
        differ = float((found["box"] != found["whole"]).mean())
        for box, whole in zip(scores["box"], scores["whole"], strict=True):
            row = {"run": run.name, "case": case.id, "class": box.class_name, "box": box.value, "whole": whole.value}
            row |= {f"seconds_{way}": round(taken, 2) for way, taken in seconds.items()}
            rows.append(row | {"voxels_that_differ": differ})
    return rows


def show(rows: list[dict[str, object]]) -> None:
    """Means over cases by class, and of all classes."""
    cases = list(dict.fromkeys(row["case"] for row in rows))
    classes = list(dict.fromkeys(row["class"] for row in rows))
    values = {way: np.array([[_of(rows, c, k, way) for k in classes] for c in cases], float) for way in WAYS}
    difference = values["box"] - values["whole"]
    print("| class | box | whole | box - whole (95 % interval) | worst case | best case |", file=sys.stderr)
    print("|---|---|---|---|---|---|", file=sys.stderr)
    for name, columns in [*((k, [i]) for i, k in enumerate(classes)), ("mean", list(range(len(classes))))]:
        apart = difference[:, columns].mean(axis=1, keepdims=True)
        low, high = bootstrap_interval(apart)
        box, whole = (values[way][:, columns].mean() for way in WAYS)
        print(
            f"| {name} | {box:.4f} | {whole:.4f} | {apart.mean():+.4f} ({low:+.4f} to {high:+.4f}) "
            f"| {apart.min():+.4f} | {apart.max():+.4f} |",
            file=sys.stderr,
        )
    times = [float(row["seconds_whole"]) / float(row["seconds_box"]) for row in rows]
    shares = [float(row["voxels_that_differ"]) for row in rows]
    print(f"{len(cases)} cases; voxels that differ: {min(shares):.3%} to {max(shares):.3%}; ", end="", file=sys.stderr)
    print(f"whole takes {min(times):.2f} to {max(times):.2f} times as long", file=sys.stderr)


def _of(rows: list[dict[str, object]], case: object, class_name: object, way: str) -> object:
    return next(row[way] for row in rows if (row["case"], row["class"]) == (case, class_name))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    found = [row for run in sys.argv[1:] for row in score(Path(run))]
    writer = csv.DictWriter(sys.stdout, found[0])
    writer.writeheader()
    writer.writerows(found)
    show(found)
