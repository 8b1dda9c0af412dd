"""Print the mean Dice of each model of a study on the validation cases, of its last weights, highest first.

With only the largest component of the classes that this improves, as `inference.postprocess: auto` decides.
"""

import json
import sys
from pathlib import Path
from statistics import mean

found = []
for path in Path(sys.argv[1]).glob("models/*/postprocessing.json"):
    classes = json.loads(path.read_text())["last"]["classes"].values()
    raw = mean(each["before"] for each in classes)
    found.append((mean(max(each["before"], each["after"]) for each in classes), raw, path.parent.name))
for dice, raw, name in sorted(found, reverse=True):
    print(f"{dice:.4f}  (without postprocessing {raw:.4f})  {name}")
