"""The validation Dice of each network of a run by itself; the test cases are not read.

python docs/results/hippocampus/each_network.py runs/hippocampus_cps_study/models/cps_32_s1 …
"""

import sys
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from semiseg.data.store import CaseStore
from semiseg.engine.runtime import Runtime
from semiseg.pipeline.model import kept_model
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.load import load_recipe


def dice_of(run: Path) -> dict[str, list[float]]:
    """By role the mean Dice of each class over the validation cases, of the last weights."""
    plan = make_plan(load_recipe(run / "recipe.yaml", expand=False))
    store = CaseStore(plan.components.dataset, plan.recipe.preprocessing, plan.split)
    store.fill(plan.cases, lambda: None)
    found = {}
    for role, network in kept_model(run).load("last", Runtime("cpu", "32", False)).strategy.networks.items():
        scores = []
        for case in plan.split.validation:
            stored = store.labeled(case.id)
            image, label = torch.from_numpy(np.ascontiguousarray(stored.image()))[None], stored.label()
            with torch.no_grad():
                logits = sliding_window_inference(
                    image, plan.task.patch_size, 1, network.eval(), overlap=0.25, mode="gaussian"
                )
            ours = logits.argmax(1)[0].numpy()
            classes = range(1, plan.task.out_channels)
            both = [((ours == k) & (label == k)).sum() for k in classes]
            sizes = [(ours == k).sum() + (label == k).sum() for k in classes]
            scores.append([2 * overlap / size for overlap, size in zip(both, sizes, strict=True)])
        found[role] = np.mean(scores, axis=0).round(3).tolist()
    return found


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        print(path.name, dice_of(path))
