"""The recipe's ``split``."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from semiseg.recipe.blocks.base import Count, Model, Seed


class Split(Model):
    """The cases of each role. A count draws cases at random, a list names them by id."""

    newer = frozenset({"folds", "fold"})

    test: Count | list[str] = 0
    """Test cases; they are opened once, at the end of a run."""
    validation: Count | list[str] = 0
    """Validation cases, used to select the best checkpoint."""
    labeled: Count | list[str] | Literal["all"]
    """Training cases whose labels are used; smaller counts are subsets of larger ones."""
    total: Count | list[str] | Literal["all"] = "all"
    """All training cases, labeled ones included; labeled: only these, as in a method's control."""
    seed: Seed = 0
    """Seed for drawing test and validation cases, the same for a whole study."""
    draw: Seed | None = None
    """Seed for the order of the training cases; by default the recipe's seed."""
    folds: Annotated[int, Field(ge=2, le=10**9)] | Literal["dataset"] | None = None
    """Cross-validation: the number of folds into which the labeled cases are divided, by patient; dataset: the
    dataset's own folds. The test cases are those of the same recipe without folds."""
    fold: Count | None = None
    """The fold whose cases are the validation cases, counted from 0; those of the other folds are the labeled cases."""

    @field_validator("total", mode="before", json_schema_input_type=Count | list[str] | Literal["all", "labeled"])
    @classmethod
    def _labeled_alone(cls, total: object, info: ValidationInfo) -> object:
        """Put the value of ``labeled`` in the word's place, so that both have one hash."""
        return info.data.get("labeled", "all") if total == "labeled" else total

    @model_validator(mode="after")
    def _one_fold(self) -> "Split":
        wrong = []
        if self.folds is None and self.fold is not None:
            wrong.append("fold is set without folds, the number of folds")
        if self.folds is not None and self.fold is None:
            wrong.append(
                "folds is set without fold, the fold to validate, counted from 0 (a study trains every fold with "
                "`folds: 5` next to `seeds`)"
            )
        if isinstance(self.folds, int) and self.fold is not None and self.fold >= self.folds:
            wrong.append(f"there is no fold {self.fold}: {self.folds} folds are counted from 0 to {self.folds - 1}")
        if self.folds is not None and self.validation not in (0, []):
            wrong.append("with folds, labeled cases are the validation cases: set validation to 0 or leave it out")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self
