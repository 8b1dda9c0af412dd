"""Options shared by both backbones."""

from typing import Annotated

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from semiseg.plugin import ComponentOptions, Upsampling

Numbers = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
Triple = tuple[PositiveInt, PositiveInt, PositiveInt]


def _odd(kernel: Triple) -> Triple:
    if any(n % 2 == 0 for n in kernel):
        raise ValueError(f"a kernel of {'x'.join(map(str, kernel))} has no center voxel: use odd sizes")
    return kernel


class NetworkOptions(ComponentOptions):
    """Sizes of the network; strides and kernels not given follow nnU-Net's plan for the patch size."""

    features_per_stage: Numbers = (32, 64, 128, 256, 320)
    """Channels of each stage, top first; the last number applies to all further stages."""
    n_stages: Annotated[int, Field(ge=3)] | None = None
    """Maximum number of stages; the plan's number if not given."""
    spacing: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (1.0, 1.0, 1.0)
    """Voxel size along each axis of the patch, in any unit, for the plan: coarse axes are halved later."""
    strides: Annotated[tuple[Triple, ...], Field(min_length=3)] | None = None
    """Stride of each stage, top first, instead of the plan's; the first must be 1, 1, 1."""
    kernel_sizes: Annotated[tuple[Annotated[Triple, AfterValidator(_odd)], ...], Field(min_length=1)] | None = None
    """Kernel of each stage, top first, the last for all further stages; default: the plan's, or 3 with strides."""
    upsampling: Upsampling = "transposed"
    """Upsampling between stages: transposed convolutions (nnU-Net), or interpolation and a convolution."""

    @model_validator(mode="after")
    def _strides(self) -> "NetworkOptions":
        if self.strides is None:
            return self
        if self.strides[0] != (1, 1, 1):
            raise ValueError("the first stage must have stride 1, 1, 1, because logits are as large as the image")
        if self.n_stages not in {None, len(self.strides)}:
            raise ValueError(f"{len(self.strides)} strides make {len(self.strides)} stages, not {self.n_stages}")
        return self
