"""Alternatives to transposed convolutions in decoders."""

from torch import nn

from semiseg.interfaces.split import SplitNetwork, Upsampling


def replace_upsampling(network: nn.Module, mode: Upsampling) -> None:
    """Replace transposed convolutions in a network's decoder and head, in place, by interpolation and a convolution.

    The convolution has a kernel of 3 along each axis. In 2D, ``trilinear`` is bilinear.

    This is how the decoders of MC-Net+ differ (arXiv:2109.09960: transposed convolution, trilinear, nearest). Its
    public code aligns corners; here they are not aligned, so that the interpolation does not depend on the patch size.
    The new convolutions are drawn from torch's default generator. ``transposed`` changes nothing.

    Raises:
        TypeError: the network is not a ``SplitNetwork``.
    """
    if not isinstance(network, SplitNetwork):
        raise TypeError(f"{type(network).__name__} is not a SplitNetwork")
    if mode == "transposed":
        return
    for part in (*network.parts["decoder"], *network.parts["head"]):
        for name, module in list(network.get_submodule(part).named_modules(prefix=part)):
            if isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d):
                network.set_submodule(name, _interpolating(module, mode))


def _interpolating(transposed: nn.ConvTranspose2d | nn.ConvTranspose3d, mode: Upsampling) -> nn.Module:
    is_2d = isinstance(transposed, nn.ConvTranspose2d)
    resize = nn.Upsample(
        scale_factor=tuple(map(float, transposed.stride)),
        mode="bilinear" if is_2d and mode == "trilinear" else mode,
        align_corners=False if mode == "trilinear" else None,
    )
    kind = nn.Conv2d if is_2d else nn.Conv3d
    has_bias = transposed.bias is not None
    convolution = kind(transposed.in_channels, transposed.out_channels, 3, padding=1, bias=has_bias)
    return nn.Sequential(resize, convolution)
