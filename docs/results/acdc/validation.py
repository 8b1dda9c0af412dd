"""Print the mean Dice on the validation cases after the last step of each model of a study, highest first."""

import json
import sys
from pathlib import Path

found = []
for log in Path(sys.argv[1]).glob("models/*/log.jsonl"):
    last = json.loads(log.read_text().splitlines()[-1])
    if last["epoch"] == last["epochs"]:
        found.append((last["validation"]["mean_dice"], log.parent.name))
for dice, name in sorted(found, reverse=True):
    print(f"{dice:.4f}  {name}")
