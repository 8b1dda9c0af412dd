"""What the recipe's blocks have in common."""

from typing import Annotated

from pydantic import ConfigDict, Field

from semiseg.interfaces.component import GrowingModel

Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=0, le=10**9)]
PositiveCount = Annotated[int, Field(gt=0, le=10**9)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Model(GrowingModel):
    """Base of the recipe's blocks: unknown keys are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )
