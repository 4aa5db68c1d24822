"""The colours of skin, hair, eyes, clothes and walls, by the words for them."""

from __future__ import annotations

Colour = tuple[int, int, int]

SKIN_TONES: tuple[Colour, ...] = (
    *((255, 229, 211), (247, 208, 178), (234, 184, 146), (211, 155, 113)),
    *((179, 122, 82), (144, 92, 60), (108, 66, 45), (80, 48, 36)),
)
"""Stops of the skin scale: `skin` 0 is the first, 1 the last."""

HAIR_COLORS: dict[str, Colour] = {
    "black": (38, 31, 38),
    "dark brown": (74, 46, 36),
    "brown": (116, 72, 45),
    "auburn": (150, 62, 38),
    "copper": (217, 112, 48),
    "blond": (226, 182, 104),
    "platinum": (243, 227, 190),
    "grey": (150, 150, 156),
    "white": (236, 234, 230),
    "blue": (62, 108, 190),
    "pink": (233, 116, 158),
}
EYE_COLORS: dict[str, Colour] = {
    "dark brown": (62, 36, 24),
    "brown": (120, 70, 32),
    "hazel": (150, 122, 48),
    "green": (66, 138, 84),
    "blue": (56, 124, 196),
    "grey": (122, 138, 150),
}

CLOTHES: tuple[Colour, ...] = (
    *((226, 166, 62), (196, 92, 66), (42, 122, 122), (44, 62, 104)),
    *((126, 152, 112), (118, 66, 96), (238, 226, 204), (70, 70, 82)),
)

BACKDROPS: tuple[Colour, ...] = (
    *((236, 222, 202), (214, 226, 232), (240, 206, 190), (208, 220, 200)),
    *((226, 212, 232), (250, 230, 180), (186, 206, 214), (206, 196, 188)),
)
"""Wall colours of the plain background."""
