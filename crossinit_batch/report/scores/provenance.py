"""What the scores come from, in sentences: judges and their digests, what differs from the paper, caveats."""

from __future__ import annotations

from pathlib import PurePath

from crossinit_batch.evaluation.alignment import TEMPLATE_DIGEST
from crossinit_batch.images.infotext import model_label
from crossinit_batch.plan.plan import Plan
from crossinit_batch.prompts import PROMPT_SETS
from crossinit_batch.report.scores.comparison import Comparison
from crossinit_batch.report.scores.published import PEOPLE, PICTURES
from crossinit_batch.settings import DEFAULT_CLIP, DEMO_JUDGE

_TEMPLATE = f"five points of ArcFace in 112 x 112 pixels, digest {TEMPLATE_DIGEST}"
FEW = 10
"""Identities below which an interval is rough."""


def judges_of(plan: Plan) -> list[tuple[str, str]]:
    """Each judge with its file or model, and the digest that identifies it."""
    judges = plan.judges
    if judges is None:
        return []
    rows, identity, prompt = [], judges.settings.identity, judges.settings.prompt
    if identity is not None and identity.pack is not None:
        pack = f"pack {_name(identity.pack)}, sure by {identity.confidence:g}, sha256 with {judges.recogniser}"
        rows += [("face detector and recogniser", pack), ("face template", f"{_TEMPLATE}, as insightface aligns")]
    elif identity is not None:
        rows += [
            ("face detector", f"{_name(identity.detector)}, sure by {identity.confidence:g}, sha256 {judges.detector}"),
            ("face recogniser", f"{_name(identity.weights)}, layout {identity.layout}, sha256 {judges.recogniser}"),
            ("face template", _TEMPLATE),
        ]
    if prompt is not None:
        rows.append(("prompt judge", f"{model_label(prompt.model)}, digest {judges.clip}"))
    return rows


def _name(judge: str) -> str:
    return "the small world's" if judge == DEMO_JUDGE else PurePath(judge).name


def differences_to_paper(plan: Plan, comparison: Comparison) -> list[str]:
    """Why the paper's figures are not to be compared with these to the last digit."""
    judges = plan.judges
    rows = [row.published for row in comparison.rows if row.published]
    if not rows or judges is None:
        return []
    sentences = [f"base model: {plan.model.label} here, {', '.join(sorted({row.base_model for row in rows}))} there"]
    if judges.settings.identity is not None:
        sentences.append(
            f"recogniser: {_name(judges.settings.identity.weights)} here, an ArcFace network of unknown weights there; "
            "cosines of two recognisers have different scales"
        )
    if judges.settings.prompt is not None and judges.settings.prompt.model != DEFAULT_CLIP:
        sentences.append(f"prompt judge: {model_label(judges.settings.prompt.model)} here, CLIP ViT-B/32 there")
    sentences.append(f"faces: {len(plan.identities)} here, {PEOPLE} of CelebA-HQ there")
    if plan.prompts != PROMPT_SETS["paper"]:
        sentences.append(f"prompts: {len(plan.prompts)} of its own here, the paper's {len(PROMPT_SETS['paper'])} there")
    if plan.render.images_per_prompt != PICTURES:
        sentences.append(f"pictures a prompt: {plan.render.images_per_prompt} here, {PICTURES} there")
    sentences.append("seconds: another machine")
    return sentences


def cautions(plan: Plan, comparison: Comparison) -> list[str]:
    """Caveats on the figures."""
    judges, sentences = plan.judges, []
    if judges is None:
        return []
    if len(plan.identities) < FEW:
        sentences.append(f"{len(plan.identities)} persons are too few for intervals that can be relied on.")
    if judges.settings.identity is None:
        sentences.append("No face recognition network was named, so there are no identity scores.")
    if judges.settings.prompt is None:
        sentences.append("No CLIP model was asked, so there are no prompt scores.")
    unseen = sorted({identity for row in comparison.rows for identity in row.unseen})
    if unseen:
        shown = ", ".join(unseen[:12]) + (f" and {len(unseen) - 12} more" if len(unseen) > 12 else "")
        sentences.append(f"In the photographs of {shown} no face was found, so they have no identity score.")
    partial = [row.method.name for row in comparison.rows if row.persons < len(plan.identities)]
    if partial:
        sentences.append(
            f"Not every person is scored by {', '.join(partial)}; paired differences use those that both have."
        )
    return sentences


def explanation(plan: Plan) -> list[str]:
    """How to read the columns."""
    judges, sentences = plan.judges, []
    if judges is not None and judges.settings.identity is not None:
        left_out = ", ".join(judges.settings.identity.without)
        sentences += [
            "Identity: the cosine of the largest face with the source photograph, over pictures in which a face is "
            "found. “Missing as 0” counts a picture without a face as 0, so that a method gains nothing by drawing "
            "none.",
        ]
        if any(prompt.category in judges.settings.identity.without for prompt in plan.prompts):
            sentences.append(f"Prompts of the category {left_out} are left out of identity.")
        if any(judges.has_second_person(prompt) for prompt in plan.prompts):
            sentences.append(
                "Where the prompt has a second person the largest face may be that one's; “best face” takes the most "
                "similar of all faces."
            )
    if judges is not None and judges.settings.prompt is not None:
        sentences.append("Prompt: CLIP's cosine of picture and prompt, the placeholder taken out.")
    sentences.append(
        "Intervals hold 95 % of 2,000 bootstrap draws of persons; paired differences draw the persons of both "
        "methods together, over the cells that both have."
    )
    return sentences
