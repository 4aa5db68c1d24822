"""Colours: a picture of any Pillow mode, depth and profile → 8-bit sRGB."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

# The values of white in modes wider than 8 bits: the first that no pixel exceeds.
_WHITES = {"I": (255, 65535), "F": (1, 255, 65535)}
_PROFILE_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def as_srgb(image: Image.Image) -> Image.Image:
    """A picture of any Pillow mode as 8-bit sRGB: profile applied, transparency over white, no metadata."""
    colour, alpha = _colour_and_alpha(image)
    result = _apply_profile(colour, image.info.get("icc_profile"))
    if alpha is not None:
        result = Image.composite(result, Image.new("RGB", result.size, "white"), alpha)
    result.info = {}
    return result


def _colour_and_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The picture as L, RGB, CMYK or LAB without transparency, and its alpha channel (mode L), if any."""
    key = image.info.get("transparency")
    if image.mode in _WHITES or image.mode.startswith("I;16"):
        pixels = np.asarray(image)
        alpha = None if key is None else Image.fromarray(np.where(pixels == key, 0, 255).astype(np.uint8))
        return _eight_bit(pixels, _WHITES.get(image.mode, (65535,))), alpha
    if image.has_transparency_data:
        if isinstance(key, tuple) and max(key) > 255:  # a 16-bit PNG's, whose pixels are 8-bit now
            image = image.copy()
            image.info["transparency"] = tuple(value >> 8 for value in key)
        layered = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        return layered.convert("RGB"), layered.getchannel("A")
    return (image if image.mode in ("L", "RGB", "CMYK", "LAB") else image.convert("RGB")), None


def _eight_bit(pixels: NDArray[Any], whites: tuple[int, ...]) -> Image.Image:
    """Values (height, width) as an 8-bit grey picture: black is 0, white the first of `whites` that none exceeds.

    Values beyond all of them are scaled from their least to their greatest, so nothing is ever clipped.
    """
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("some of its pixels are infinite or not a number")
    white = next((white for white in whites if low >= 0 and high <= white), None)
    low, high = (low, high) if white is None else (0.0, float(white))
    scaled = (pixels.astype(np.float32) - low) * (255 / ((high - low) or 1))
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _apply_profile(colour: Image.Image, profile: bytes | None) -> Image.Image:
    """An L, RGB, CMYK or LAB picture in sRGB; a profile that is broken or of another kind is ignored."""
    if profile and colour.mode != "LAB":
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            mode = _PROFILE_MODES.get(source.profile.xcolor_space.strip())
            if mode is not None and (mode == "CMYK") == (colour.mode == "CMYK"):
                return _transform(colour.convert(mode), source)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a picture with a broken profile is still of use: most such profiles were sRGB
    return colour.convert("RGB")


def _transform(colour: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    """Colours from a profile to sRGB as Photoshop does it: relative, with black point compensation."""
    result = ImageCms.profileToProfile(
        colour,
        source,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert result is not None  # None only when working in place
    return result
