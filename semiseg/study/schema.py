"""A study recipe as data: a base recipe and a matrix of varied keys."""

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from semiseg.recipe.component_slots import kind_at
from semiseg.recipe.jsonschema import draft7, options_schemas, recipe_schema
from semiseg.recipe.schema import FolderName

METHOD = "method"
"""Key of a block that is not a recipe key: the name of the block's method."""
ACQUISITION = "acquisition"
"""Key of a block that is not a recipe key: the rule that chooses labeled cases, or several."""


def _checked(block: dict[str, Any]) -> dict[str, Any]:
    wrong = [
        f"a block sets {key} twice, as {key} and {key}.name"
        for key, times in Counter(map(full_key, block)).items()
        if times > 1
    ]
    for key, value in block.items():
        if value == []:
            wrong.append(f"{key} has no value")
        if key == METHOD and not (isinstance(value, str) and value.strip()):
            wrong.append(f"method must be a name, not {value!r}")
        if key == ACQUISITION and not all(map(_is_rule, value if isinstance(value, list) else [value])):
            wrong.append(
                f"acquisition must be a rule's name, a mapping with name and options, or a list, not {value!r}"
            )
        if key in {"seed", "name"}:
            wrong.append(f"{key} cannot be in the matrix: seeds has its own key, and names are generated")
    if wrong:
        raise ValueError("; ".join(wrong))
    return block


def _is_rule(value: Any) -> bool:
    name = value.get("name") if isinstance(value, dict) else value
    return isinstance(name, str) and bool(name.strip())


class StudyRecipe(BaseModel):
    """A base recipe and the models derived from it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    name: FolderName
    """Name of the study."""
    base: dict[str, Any] | str
    """Recipe shared by all models: its content, the path of its file, relative to this one, or the name of a shipped
    recipe. Another study stands for its base."""
    matrix: list[Annotated[dict[str, Any], AfterValidator(_checked)]] = Field(min_length=1)
    """Blocks of varied values, by the recipe's dotted keys. A list takes each of its values in turn, combined with all
    values of the other keys; a key whose value is itself a list takes a list of lists. ``method`` names the block's
    method; a key with a single value in that block then belongs to the method, and is not a setting. ``acquisition``
    names a rule that chooses the labeled cases, round by round: of ``split.labeled: [4, 8, 12]``, the first 4 are drawn
    at random, and the model with 8 has 4 more, chosen by the rule with the model with 4."""
    seeds: list[int] = Field(default=[0], min_length=1)
    """Seeds to run every model with. A seed draws labeled cases, weights and samples, but never the test cases."""
    folds: Annotated[int, Field(ge=2, le=100)] | None = None
    """Cross-validation: every model once for each fold (``split.folds`` and ``split.fold`` of its recipe)."""
    baseline: str = "supervised"
    """Strategy that the others are compared with."""
    checkpoint: Literal["last", "best"] = "last"
    """Weights used in tables and figures; results of the other weights are shown as well."""
    published: FolderName | Literal[""] = ""
    """Published study on the same data, whose values are shown for comparison: NAME of the file published/NAME.yaml,
    next to this one or in an installed package."""
    launchers: dict[str, dict[str, Any]] = {}
    """Options of launchers, by name; those of the one named by ``--launcher`` are used."""
    slurm: dict[str, Any] = {}
    """The same as ``launchers.slurm``: resources of each SLURM job, by submitit's names: timeout_min, slurm_partition,
    gpus_per_node, mem_gb."""

    @field_validator("slurm")
    @classmethod
    def _slurm_is_there_once(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if options and "slurm" in info.data.get("launchers", {}):
            raise ValueError("the options are given twice, here and in launchers.slurm")
        return options

    def options_of(self, launcher: str) -> tuple[str, dict[str, Any]]:
        """Return a launcher's options, empty if there are none, and the key that holds them."""
        if launcher == "slurm" and self.slurm:
            return "slurm", self.slurm
        return f"launchers.{launcher}", self.launchers.get(launcher, {})

    @field_validator("folds")
    @classmethod
    def _folds_are_there_once(cls, folds: int | None, info: ValidationInfo) -> int | None:
        keys = {full_key(key) for block in info.data.get("matrix", ()) for key in block}
        if folds is not None and keys & {"split.folds", "split.fold"}:
            raise ValueError("the folds are given twice, here and in the matrix")
        return folds

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is listed twice")
        return seeds


def full_key(key: str) -> str:
    """Normalize a key: ``strategy`` and ``strategy.name`` both give ``strategy``."""
    path = tuple(key.split("."))
    return key.removesuffix(".name") if path[-1] == "name" and kind_at(path[:-1]) else key


def study_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 7) of study recipes; the base is as in ``recipe_schema``, its name optional."""
    recipe = recipe_schema()
    schema, definitions = recipe.pop("$schema"), recipe.pop("definitions")
    recipe["required"] = [key for key in recipe["required"] if key != "name"]
    study = draft7(StudyRecipe.model_json_schema())
    base = study["properties"]["base"]
    base["anyOf"] = [recipe, {"type": "string"}]
    launchers = options_schemas("launcher", definitions)
    study["properties"]["launchers"]["properties"] = {name: {"type": "object", **launchers[name]} for name in launchers}
    return {
        "$schema": schema,
        **study,
        "definitions": {**study.get("definitions", {}), **definitions},
        "title": "semiseg study recipe",
        "description": StudyRecipe.__doc__,
    }
