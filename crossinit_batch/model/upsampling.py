"""Doubling the side of the U-Net's activations with a backward pass that is cheap where it has to be deterministic.

On a GPU, torch's compiler turns the backward pass of nearest-neighbour upsampling into an indexed sum, which is costly
to make deterministic: 22 of 203 ms for 32 samples of Stable Diffusion 2.1 on an H200. The backward pass of an expanded
view is a plain sum of four numbers, in one order everywhere.
"""

from __future__ import annotations

from typing import Any

from diffusers.models.upsampling import Upsample2D
from torch import Tensor


class Doubling(Upsample2D):  # type: ignore[misc]
    """diffusers' nearest-neighbour upsampling by two with a convolution after it, number for number."""

    def forward(self, hidden_states: Tensor, output_size: Any = None, *args: Any, **kwargs: Any) -> Tensor:
        """(B, channels, height, width) to twice the sides, or to `output_size` as diffusers does it."""
        if output_size is not None:
            sized: Tensor = super().forward(hidden_states, output_size, *args, **kwargs)
            return sized
        samples, channels, height, width = hidden_states.shape
        squares = hidden_states[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2)
        doubled: Tensor = self.conv(squares.reshape(samples, channels, 2 * height, 2 * width))
        return doubled


def double_by_views(unet: Any) -> None:
    """Replace the forward pass of a U-Net's plain upsamplers by this one; others stay as they are."""
    for module in unet.modules():
        if type(module) is Upsample2D and _is_plain(module):
            module.__class__ = Doubling


def _is_plain(module: Any) -> bool:
    """Whether an upsampler does nothing but double by nearest neighbours and convolve."""
    extras = module.norm is not None or module.use_conv_transpose
    return bool(module.interpolate and module.use_conv and module.name == "conv" and not extras)
