"""First weights of an autoencoder with which it shrinks and enlarges pictures, so that training starts with colours.

Two channels hold constants that dominate the group norms, which makes those nearly linear; colours pass through
beside them. Everything else starts at random, behind residual branches that start at zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_COLOURS = 3
_KEPT = 5
"""Channels that are passed on: three colours and the two constants."""
_CONSTANT = 4.0
_LINEAR = 3.0
"""Where SiLU is nearly a straight line."""


@torch.no_grad()
def start_with_colours(autoencoder: Any, pictures: Tensor, log_variance: float) -> None:
    """Set the weights of an `AutoencoderKL` with one group a norm; `pictures` (B, 3, H, W) calibrate it."""
    encoder, decoder, latents = autoencoder.encoder, autoencoder.decoder, autoencoder.config.latent_channels
    blocks: list[nn.Module] = [*encoder.down_blocks, encoder.mid_block, *decoder.up_blocks, decoder.mid_block]
    for resnet in (resnet for block in blocks for resnet in _resnets(block)):
        nn.init.zeros_(resnet.conv2.weight)
        nn.init.zeros_(resnet.conv2.bias)
        if resnet.conv_shortcut is not None:
            _pass_on(resnet.conv_shortcut, _KEPT, torch.ones(1, 1))
    shrink, smooth = torch.zeros(3, 3), torch.tensor([0.25, 0.5, 0.25])
    shrink[:2, :2] = 0.25
    for block in encoder.down_blocks:
        for sampler in block.downsamplers or ():
            _pass_on(sampler.conv, _KEPT, shrink)
    for block in decoder.up_blocks:
        for sampler in block.upsamplers or ():
            _pass_on(sampler.conv, _COLOURS, torch.outer(smooth, smooth))
            _pass_on(sampler.conv, _KEPT, _centre(3), first=_COLOURS)
    for network in (encoder, decoder):
        _pass_on(network.conv_in, _COLOURS, _centre(3))
        network.conv_in.weight[_COLOURS:_KEPT] = 0
        network.conv_in.bias[_COLOURS:_KEPT] = torch.tensor([_CONSTANT, -_CONSTANT])
        network.conv_norm_out.bias[:_COLOURS] = _LINEAR
        _pass_on(network.conv_out, _COLOURS, _centre(3))
    for convolution in (autoencoder.quant_conv, autoencoder.post_quant_conv):
        _pass_on(convolution, _COLOURS, torch.ones(1, 1))
    autoencoder.quant_conv.bias[latents:] = log_variance
    autoencoder.quant_conv.weight[latents:] *= 0.1
    small = nn.functional.avg_pool2d(pictures, 2 ** (len(encoder.down_blocks) - 1))
    _calibrate(encoder.conv_out, lambda: autoencoder.encode(pictures).latent_dist.mean, small)
    _calibrate(decoder.conv_out, lambda: autoencoder.decode(small_latents(small, latents)).sample, pictures)


def small_latents(small: Tensor, latents: int) -> Tensor:
    """Latents (B, latents, h, w) that hold nothing but the colours of small pictures (B, 3, h, w)."""
    rest = torch.zeros(small.shape[0], latents - _COLOURS, *small.shape[2:])
    return torch.cat([small, rest], dim=1)


def _resnets(block: Any) -> Iterable[Any]:
    return block.resnets  # type: ignore[no-any-return]


def _centre(side: int) -> Tensor:
    kernel = torch.zeros(side, side)
    kernel[side // 2, side // 2] = 1
    return kernel


def _pass_on(convolution: Any, channels: int, kernel: Tensor, first: int = 0) -> None:
    """Let channels first…channels-1 through by a kernel, and keep the constants out of the others."""
    weight, bias = convolution.weight, convolution.bias
    if weight.shape[1] >= _KEPT:
        weight[_KEPT:, _COLOURS:_KEPT] = 0
    for channel in range(first, channels):
        weight[channel] = 0
        weight[channel, channel] = kernel
        bias[channel] = 0


def _calibrate(convolution: Any, run: Any, wanted: Tensor) -> None:
    """Scale the first three outputs so that they are what is wanted, by least squares."""
    for channel in range(_COLOURS):
        found = run()[:, channel].flatten()
        aim = wanted[:, channel].flatten()
        slope = ((found - found.mean()) * (aim - aim.mean())).mean() / found.var(unbiased=False).clamp(min=1e-8)
        convolution.bias[channel] = convolution.bias[channel] * slope + aim.mean() - slope * found.mean()
        convolution.weight[channel] *= slope
