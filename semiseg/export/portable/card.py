"""The card of a published model: what it is, on what it was trained, how well it did, and what it is not for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_HEAD = """---
library_name: semiseg
pipeline_tag: image-segmentation
tags: [medical-imaging, segmentation, semi-supervised, {tags}]
# license: choose one, such as apache-2.0 or cc-by-nc-4.0: without a license, others may not use the model
---
"""

_USE = """```
pip install semiseg
semiseg predict FOLDER -i images/ -o predictions/
```

```python
import semiseg

model = semiseg.load("FOLDER")
labels = model.predict("scan.nii.gz")
```

FOLDER is this repository, downloaded. The weights contain no pickle.
"""
_LIMITS = """Not a medical device. Scores are those of test cases of the same dataset: images of other scanners or
protocols, or of other patients, may be segmented much worse. Whoever publishes this model adds what they know of its
failures.
"""


def card(about: Mapping[str, Any]) -> str:
    """Return the card for a model's description (``description.description``), as Markdown."""
    return "\n".join(_lines(about)) + "\n"


def _lines(about: Mapping[str, Any]) -> Iterator[str]:
    trained, labels = about["trained"], about["labels"]
    yield _HEAD.format(tags=f"{trained['strategy']}, {trained['backbone']}")
    yield f"# {about['name']}\n"
    axes, modalities = len(about["windows"]["size"]), ", ".join(about["input"]["modalities"])
    yield (
        f"Segments {', '.join(labels.values())} in {axes}D, from {modalities}. Trained with the strategy "
        f"`{trained['strategy']}` and the backbone `{trained['backbone']}` of semiseg {about['semiseg']}; the "
        f"{about['checkpoint']} weights.\n"
    )
    yield "## Use\n"
    yield _USE
    yield _table(("value in label maps", "structure"), list(labels.items()))
    yield "## Data\n"
    cases = trained.get("cases")
    counts = ", ".join(f"{count} {role}" for role, count in cases.items()) if cases else "not recorded"
    yield f"Dataset `{trained['dataset']}`; cases: {counts}. {_spacing(trained.get('spacing'))}\n"
    yield "How an image becomes a label map:\n"
    yield "\n".join(f"{number}. {step}" for number, step in enumerate(about["steps"], 1)) + "\n"
    yield "## Scores\n"
    yield from _scores(trained.get("test_scores"))
    yield "## Limits\n"
    yield _LIMITS
    yield "## License and citation\n"
    yield "The license is the publisher's choice (see the head of this file), within the terms of the training data."


def _scores(scores: Mapping[str, Any] | None) -> Iterator[str]:
    if not scores:
        yield "The run has no test scores.\n"
        return
    names = list(next(iter(scores.values())))
    rows = [
        [metric, *(_score(found.get(name)) for name in names), str(max(one["n"] for one in found.values()))]
        for metric, found in scores.items()
    ]
    yield "Means over the test cases, which were opened once, after training:\n"
    yield _table(("metric", *names, "cases"), rows)


def _score(found: Mapping[str, Any] | None) -> str:
    return "–" if found is None or found["mean"] is None else f"{found['mean']:.3f}"


def _spacing(spacing: Mapping[str, Any] | None) -> str:
    if not spacing or spacing["unit"] == "pixel":
        return "Images are pictures." if spacing else "Their voxel size is not recorded."
    ends = zip(spacing["min"], spacing["max"], strict=True)
    sizes = [f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, high in ends]
    return f"Voxels of {' x '.join(sizes)} mm (right, front, top)."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
