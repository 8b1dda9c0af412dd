"""Options shared by both backbones."""

from typing import Annotated

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from semiseg.plugin import ComponentOptions, Upsampling

Numbers = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
PerAxis = Annotated[tuple[PositiveInt, ...], Field(min_length=2, max_length=3)]
"""One number for each axis of the patch."""


def _odd(kernel: tuple[int, ...]) -> tuple[int, ...]:
    if any(n % 2 == 0 for n in kernel):
        raise ValueError(f"a kernel of {'x'.join(map(str, kernel))} has no center voxel: use odd sizes")
    return kernel


def _alike(stages: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    if len({len(stage) for stage in stages}) > 1:
        raise ValueError("some stages have two numbers and some three: give each one number per axis of the patch")
    return stages


class NetworkOptions(ComponentOptions):
    """Sizes of the network; strides and kernels not given follow nnU-Net's plan for the patch size."""

    features_per_stage: Numbers = (32, 64, 128, 256, 320)
    """Channels of each stage, top first; the last applies to all further stages. nnU-Net's 2D plans end at 512."""
    n_stages: Annotated[int, Field(ge=3)] | None = None
    """Maximum number of stages; the plan's number if not given."""
    spacing: Annotated[tuple[PositiveFloat, ...], Field(min_length=2, max_length=3)] = (1.0, 1.0, 1.0)
    """Voxel size along each axis of the patch, in any unit: coarse axes are halved later. Equal sizes, the default,
    stand for those to which images are resampled (preprocessing.spacing), if they are, and fit 2D, too."""
    strides: Annotated[tuple[PerAxis, ...], Field(min_length=3), AfterValidator(_alike)] | None = None
    """Stride of each stage, top first, instead of the plan's; the first must be 1 along each axis."""
    kernel_sizes: (
        Annotated[tuple[Annotated[PerAxis, AfterValidator(_odd)], ...], Field(min_length=1), AfterValidator(_alike)]
        | None
    ) = None
    """Kernel of each stage, top first, the last for all further stages; default: the plan's, or 3 with strides."""
    upsampling: Upsampling = "transposed"
    """Upsampling between stages: transposed convolutions (nnU-Net), or interpolation and a convolution."""

    @model_validator(mode="after")
    def _strides(self) -> "NetworkOptions":
        if self.strides is None:
            return self
        if set(self.strides[0]) != {1}:
            raise ValueError("the first stage must have stride 1 along each axis: logits are as large as the image")
        if self.n_stages not in {None, len(self.strides)}:
            raise ValueError(f"{len(self.strides)} strides make {len(self.strides)} stages, not {self.n_stages}")
        return self
