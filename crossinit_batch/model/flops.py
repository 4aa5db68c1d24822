"""The cost of a pipeline's components, from their config.json: floating-point operations, numbers written, kernels.

Counted layer by layer as diffusers and transformers build them, without torch, so that `plan` stays light; a test holds
the counts against torch's own counter. One multiply-add is two operations.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from crossinit_batch.storage.reading import JSON_BYTES, read_file


@dataclass(frozen=True)
class Count:
    """The cost of one sample: operations, numbers that layers write, and kernels that are started (for any batch)."""

    flops: float = 0.0
    numbers: float = 0.0
    kernels: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.flops + other.flops, self.numbers + other.numbers, self.kernels + other.kernels)

    def __mul__(self, times: float) -> Count:
        return Count(self.flops * times, self.numbers * times, round(self.kernels * times))


@dataclass(frozen=True)
class Architecture:
    """The configurations of a pipeline's U-Net, text encoder and autoencoder."""

    unet: dict[str, Any]
    text: dict[str, Any]
    vae: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Architecture:
        """From a folder in diffusers' layout that was checked before."""
        unet, text, vae = (_config(folder / part) for part in ("unet", "text_encoder", "vae"))
        return cls(unet, text, vae)

    @property
    def latent_scale(self) -> int:
        """Pixels a latent is wide."""
        return int(2 ** (len(self.vae["block_out_channels"]) - 1))

    def latent_side(self, pixels: int | None) -> int:
        """The side of the latents of a picture of this side, None for the model's own."""
        return int(self.unet["sample_size"]) if pixels is None else pixels // self.latent_scale

    @cached_property
    def text_encoding(self) -> Count:
        """The text encoder on one text."""
        config = self.text
        d, hidden, n = config["hidden_size"], config["intermediate_size"], config.get("max_position_embeddings", 77)
        layer = _linear(d, d, n) * 4 + _attention(d, n, n) + _linear(d, hidden, n) + _linear(hidden, d, n)
        layers = (layer + _pointwise(5 * d * n, 5)) * int(config["num_hidden_layers"])
        return layers + _pointwise(2 * d * n, 3)

    def noise_prediction(self, side: int) -> Count:
        """The U-Net on one sample with latents of this side."""
        return _total(self._unet_layers(side * side))

    def picture_encoding(self, side: int) -> Count:
        """The autoencoder from a picture to latents of this side."""
        return _total(_vae_encoder(self.vae, (side * self.latent_scale) ** 2))

    def picture_decoding(self, side: int) -> Count:
        """The autoencoder from latents of this side to a picture."""
        return _total(_vae_decoder(self.vae, side * side))

    def _unet_layers(self, n: int) -> Iterator[Count]:
        """Every block's cost, n being the latents' pixels."""
        config, channels = self.unet, self.unet["block_out_channels"]
        layers = _each(config["layers_per_block"], len(channels))
        depth = _each(config.get("transformer_layers_per_block") or 1, len(channels))
        temb = 4 * channels[0]
        yield _linear(channels[0], temb, 1) + _linear(temb, temb, 1) + _conv(config["in_channels"], channels[0], n)
        skips = [channels[0]]
        width = channels[0]
        for level, (kind, out) in enumerate(zip(config["down_block_types"], channels, strict=True)):
            for _ in range(layers[level]):
                yield _resnet(width, out, n, temb) + self._transformer(kind, out, n, depth[level])
                width = out
                skips.append(out)
            if level + 1 < len(channels):
                n //= 4
                yield _conv(out, out, n)
                skips.append(out)
        middle = self._transformer(config.get("mid_block_type") or "", width, n, depth[-1])
        yield _resnet(width, width, n, temb) * 2 + middle
        for level, (kind, out) in enumerate(zip(config["up_block_types"], reversed(channels), strict=True)):
            for _ in range(layers[-1 - level] + 1):
                yield _resnet(width + skips.pop(), out, n, temb) + self._transformer(kind, out, n, depth[-1 - level])
                width = out
            if level + 1 < len(channels):
                n *= 4
                yield _conv(out, out, n) + _pointwise(out * n)
        yield _pointwise(2 * width * n, 2) + _conv(width, config["out_channels"], n)

    def _transformer(self, kind: str, c: int, n: int, depth: int) -> Count:
        """Attention over n positions and over the text, where a block of this kind has it."""
        if "CrossAttn" not in kind:
            return Count()
        length = self.text.get("max_position_embeddings", 77)
        context = self.unet["cross_attention_dim"]
        layer = _linear(c, c, n) * 6 + _linear(context, c, length) * 2
        layer += _attention(c, n, n) + _attention(c, n, length)
        layer += _linear(c, 8 * c, n) + _linear(4 * c, c, n) + _pointwise(10 * c * n, 7)
        around = _linear(c, c, n) * 2 + _pointwise(3 * c * n, 5)
        return layer * depth + around


def _vae_encoder(config: dict[str, Any], n: int) -> Iterator[Count]:
    """Every block's cost, n being the picture's pixels."""
    channels, layers = config["block_out_channels"], config["layers_per_block"]
    width = channels[0]
    yield _conv(config["in_channels"], width, n)
    for level, out in enumerate(channels):
        for _ in range(layers):
            yield _resnet(width, out, n)
            width = out
        if level + 1 < len(channels):
            n //= 4
            yield _conv(out, out, n)
    yield _vae_middle(config, width, n)
    moments = 2 * config["latent_channels"]
    yield _conv(width, moments, n) + _linear(moments, moments, n)


def _vae_decoder(config: dict[str, Any], n: int) -> Iterator[Count]:
    """Every block's cost, n being the latents' pixels."""
    channels, layers = config["block_out_channels"][::-1], config["layers_per_block"] + 1
    width = channels[0]
    yield _linear(config["latent_channels"], config["latent_channels"], n)
    yield _conv(config["latent_channels"], width, n) + _vae_middle(config, width, n)
    for level, out in enumerate(channels):
        for _ in range(layers):
            yield _resnet(width, out, n)
            width = out
        if level + 1 < len(channels):
            n *= 4
            yield _conv(out, out, n) + _pointwise(out * n)
    yield _pointwise(2 * width * n, 2) + _conv(width, config["out_channels"], n)


def _vae_middle(config: dict[str, Any], c: int, n: int) -> Count:
    attention = _linear(c, c, n) * 4 + _attention(c, n, n) + _pointwise(c * n)
    return _resnet(c, c, n) * 2 + (attention if config.get("mid_block_add_attention", True) else Count())


def _resnet(c: int, out: int, n: int, temb: int = 0) -> Count:
    """Two convolutions, each after a norm and an activation, and a way around them."""
    count = _conv(c, out, n) + _conv(out, out, n) + _pointwise(2 * c * n + 4 * out * n, 6)
    if temb:
        count += _linear(temb, out, 1) + _pointwise(0, 2)
    return count + (_linear(c, out, n) if c != out else Count())


def _conv(c: int, out: int, n: int) -> Count:
    """A 3 x 3 convolution that writes n positions."""
    return Count(18.0 * c * out * n, out * n, 1)


def _linear(c: int, out: int, n: int) -> Count:
    return Count(2.0 * c * out * n, out * n, 1)


def _attention(c: int, n: int, keys: int) -> Count:
    """Scores and weighted values, without the projections."""
    return Count(4.0 * c * n * keys, c * n, 1)


def _pointwise(numbers: int, kernels: int = 1) -> Count:
    """Norms, activations, sums: next to no operations, but numbers that are written and read."""
    return Count(0.0, numbers, kernels)


def _config(part: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(read_file(part / "config.json", JSON_BYTES))
    return config


def _each(value: int | Sequence[int], levels: int) -> list[int]:
    return [value] * levels if isinstance(value, int) else list(value)


def _total(counts: Iterator[Count]) -> Count:
    return sum(counts, Count())
