"""The generation parameters stored in a picture: infotext, which web UIs read, and exact JSON.

The infotext has the form that A1111 and Forge write and other viewers read; the JSON gives every value back exactly.
Neither holds a time, a path or anything of the photograph.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter, ValidationError

from crossinit_batch.errors import CrossinitError

SCHEMA = 1
SAMPLER_NAMES = {"dpmsolver++": "DPM++ 2M", "ddim": "DDIM", "euler": "Euler"}
"""The schedulers of a manifest, as A1111 names its samplers."""

_HUB_ID = re.compile(r"[^/\\~.:][^/\\:]*(/[^/\\:]+)?")


class PictureTextError(CrossinitError):
    """The text of a picture cannot be written or read; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class PictureFacts:
    """Everything that determines a picture; `width` and `height` in pixels, `image_index` from 0 within its prompt."""

    prompt: str
    """With the identity's token filled in."""
    negative_prompt: str = ""
    steps: int
    sampler: str
    """As A1111 writes it; see SAMPLER_NAMES."""
    guidance: float
    seed: int
    width: int
    height: int
    model: str
    """A hub id or a folder's last name, never a path."""
    model_hash: str
    """The first ten hexadecimal digits of the model's SHA-256, or nothing."""
    identity: str
    method: str
    template: str
    """The prompt with its slot `{}` not filled in."""
    image_index: int
    version: str
    """Of the program, for example "crossinit 0.1.0"."""
    guidance_until: float = 1.0
    """The fraction of the steps that were guided, counted from the first."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, str):
                _refuse_unprintable(name, value)
        if not math.isfinite(self.guidance):
            raise PictureTextError(f"guidance is {self.guidance}, not a number")
        if not re.fullmatch(r"([0-9a-f]{10})?", self.model_hash):
            raise PictureTextError(f"model_hash is {self.model_hash!r}, not ten hexadecimal digits")
        if not _HUB_ID.fullmatch(self.model):
            raise PictureTextError(
                f"model is {self.model!r}, and pictures hold no paths", "Give what model_label makes of it."
            )


_READER = TypeAdapter(PictureFacts)


def model_label(model: str) -> str:
    """A model's name as a picture may show it: a hub id as it is, of a path or a URL only the last name."""
    if _HUB_ID.fullmatch(model):
        return model
    names = [part for part in re.split(r"[/\\:]", model) if part.strip("~.")]
    return names[-1].lstrip("~.") if names else "model"


def infotext(facts: PictureFacts) -> str:
    """The facts in A1111's form: a line for the prompt, one for the negative prompt, one of `Key: value`."""
    pairs = {
        "Steps": str(facts.steps),
        "Sampler": facts.sampler,
        "CFG scale": repr(float(facts.guidance)).removesuffix(".0"),
        "Guidance until": repr(facts.guidance_until) if facts.guidance_until < 1 else "",
        "Seed": str(facts.seed),
        "Size": f"{facts.width}x{facts.height}",
        "Model hash": facts.model_hash,
        "Model": facts.model,
        "Identity": facts.identity,
        "Method": facts.method,
        "Version": facts.version,
    }
    lines = [facts.prompt]
    if facts.negative_prompt:
        lines.append(f"Negative prompt: {facts.negative_prompt}")
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in pairs.items() if value))
    return "\n".join(lines)


def facts_json(facts: PictureFacts) -> str:
    """The facts as canonical JSON in ASCII: sorted keys, no spaces, a schema number."""
    exact = {name: float(getattr(facts, name)) for name in ("guidance", "guidance_until")}
    content = asdict(facts) | exact | {"schema": SCHEMA}
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def facts_of(text: str) -> PictureFacts:
    """The facts in `facts_json`'s text; keys that a later version may have added are ignored."""
    try:
        content = json.loads(text)
        schema = content["schema"]
        if isinstance(schema, int) and schema > SCHEMA:
            raise PictureTextError(f"its text has schema {schema}, newer than {SCHEMA}", "Update crossinit.")
        return _READER.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise PictureTextError(f"its crossinit text is damaged: {where}: {first['msg']}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PictureTextError("its crossinit text is damaged: not the JSON that crossinit writes") from error


def _quoted(value: str) -> str:
    """A value as A1111 writes it: in JSON's quotes wherever its parser would split or change the unquoted text."""
    bare = value == value.strip() and not any(character in value for character in ',:"')
    return value if bare else json.dumps(value, ensure_ascii=False)


def _refuse_unprintable(name: str, value: str) -> None:
    """PictureTextError for line breaks, other control characters and lone surrogates, which readers cannot parse."""
    for character in value:
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise PictureTextError(
                f"{name} has the character U+{ord(character):04X}, which picture text cannot hold",
                "Remove line breaks and control characters.",
            )
