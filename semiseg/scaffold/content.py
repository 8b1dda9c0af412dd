"""Template content for a new package, by kind of component."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from semiseg.registry import Kind

# The recipe's blocks; the new component replaces the block of its kind.
_BLOCKS = {
    "dataset": "name: phantom\ncases: 10\nsize: [48, 56, 44]",
    "augmentation": "name: luque2023",
    "backbone": "name: unet\nchannels: [8, 16, 32]\nstrides: [2, 2]\nnum_res_units: 1",
    "strategy": "name: cps\nloss: dice_ce",
}


@dataclass(frozen=True)
class Content:
    """Texts for a kind: the example's description, the options of the recipe's block, and the source of the data."""

    example: str
    options: str = ""
    data: str = "10 synthetic heads that semiseg makes and writes to its cache"
    prepare: str = ""
    check_options: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


CONTENT: Mapping[Kind, Content] = {
    "strategy": Content("entropy minimization on the unlabeled stream beside a supervised loss", "loss: dice_ce"),
    "backbone": Content("a 3D U-Net of two levels", "channels: 12"),
    "dataset": Content(
        "a folder of NIfTI images with labels of the same names",
        "root: data",
        data="12 small made images that `python tests/tiny_data.py data` writes to the folder data",
        prepare="python tests/tiny_data.py data\n",
        check_options=" --set root=data",
        files={"tests/tiny_data.py": "makes tiny files in the dataset's layout"},
    ),
    "metric": Content("volumetric similarity"),
    "augmentation": Content("an exchange of left and right, and a change of contrast"),
}


def substitutions(kind: Kind, name: str) -> dict[str, str]:
    """Return the text for each placeholder of the templates that depends on the kind."""
    content = CONTENT[kind]
    command = f"semiseg run recipes/{name}.yaml"
    blocks = {**_BLOCKS, kind: f"name: {name}\n{content.options}".rstrip()}
    return {
        "a_kind": f"an {kind}" if kind[0] in "aeiou" else f"a {kind}",
        **{block: _indented(text) for block, text in blocks.items()},
        "metrics": f"dice, hd95, {name}" if kind == "metric" else "dice, hd95",
        "command": " && ".join(filter(None, (content.prepare.strip(), command))),
        "example": content.example,
        "data": content.data,
        "prepare": content.prepare,
        "check_options": content.check_options,
        "data_row": "".join(f"| `{path}` | {what} |\n" for path, what in content.files.items()),
    }


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())
