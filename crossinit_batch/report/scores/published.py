"""The rows of the paper's Table 1 (Pang et al., CVPR 2024), shown beside ours.

200 faces of CelebA-HQ, 20 prompts, 32 pictures each, identity on the 15 realistic prompts by an ArcFace network whose
weights the paper does not name; NeTI and Celeb Basis on another base model than the others.
"""

from __future__ import annotations

from dataclasses import dataclass

from crossinit_batch.methods.planned import PlannedMethod
from crossinit_batch.methods.registry import presets


@dataclass(frozen=True)
class PublishedRow:
    """What the paper reports of a method."""

    name: str
    base_model: str
    identity: float
    prompt: float
    seconds: float


PUBLISHED: dict[str, PublishedRow] = {
    "cross-init": PublishedRow("Cross Initialization", "Stable Diffusion 2.1", 0.2517, 0.2859, 346),
    "cross-init-fast": PublishedRow("Cross Initialization, fast", "Stable Diffusion 2.1", 0.2225, 0.2800, 26),
    "textual-inversion": PublishedRow("Textual Inversion", "Stable Diffusion 2.1", 0.2115, 0.2498, 6331),
    "dreambooth": PublishedRow("DreamBooth", "Stable Diffusion 2.1", 0.2053, 0.3015, 623),
    "neti": PublishedRow("NeTI", "Stable Diffusion 1.4", 0.3789, 0.2325, 1527),
    "celeb-basis": PublishedRow("Celeb Basis", "Stable Diffusion 1.4", 0.2070, 0.2683, 140),
}
"""By the name of the preset that is the paper's own setting."""

PEOPLE, PICTURES = 200, 32
"""How many faces, and how many pictures a prompt, the paper's table is over."""


def published_row(method: PlannedMethod) -> PublishedRow | None:
    """The paper's row of a method, where it is exactly the preset that the paper's setting is."""
    if method.settings != presets().get(method.preset):
        return None
    return PUBLISHED.get(method.preset)
