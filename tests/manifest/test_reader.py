from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import manifest_folder
from tests.helpers.manifest_folder import ADA, check_mistake, load, problems

folder = manifest_folder.folder


def test_numbers_are_read_as_people_write_them(folder: Path) -> None:
    method = "{name: x, use: cross-init, learning_rate: 8e-5, regularization: 1e-5, weight_decay: 0, flip: no}"
    manifest = load(folder, ADA + f"methods: [{method}]\nrender: {{guidance: 7, steps: 20, size: null}}")
    chosen = manifest.methods[0].settings
    assert (chosen.learning_rate, chosen.regularization, chosen.weight_decay, chosen.flip) == (
        8e-5,
        1e-5,
        0,
        False,
    )
    assert (manifest.render.guidance, manifest.render.steps, manifest.render.size) == (7.0, 20, None)


MISTAKES = [
    ("identities:", 1, 12, "expected a list, found nothing"),
    ("identities: photos/ada.jpg", 1, 13, "write [photos/ada.jpg]"),
    ("identities: {a: b}", 1, 13, "expected a list, found a mapping"),
    ("identitys: [photos/ada.jpg]", 1, 1, "did you mean identities?"),
    (ADA + "zzzz: 1", 2, 1, "there are version, name, model"),
    (ADA + "version: 2", 2, 10, "this program reads version 1, found 2"),
    (ADA + "version: true", 2, 10, "expected a whole number, found 'true'"),
    (ADA + "seed: -1", 2, 7, "expected at least 0"),
    (ADA + "seed: 9223372036854775808", 2, 7, "expected a number below 9223372036854775808"),
    (ADA + "seed: 1" + "0" * 5000, 2, 7, "expected a whole number"),
    (ADA + "seed: 1.5", 2, 7, "expected a whole number, found '1.5'"),
    (ADA + "name: [x]", 2, 7, "expected text, found a list"),
    (ADA + "model: {dtype: float31}", 2, 16, "did you mean float32?"),
    ("identities: [{images: []}]", 1, 23, "the list is empty"),
    ("identities: [{id: a}]", 1, 14, "the key images is required"),
    ("identities: [{image: photos/ada.jpg}]", 1, 15, "did you mean images?"),
    ("identities: [{images: {a: b}}]", 1, 23, "expected text or a list, found a mapping"),
    ("identities: [{images: photos/ada.jpg, limit: 0}]", 1, 46, "expected at least 1"),
    ("identities: [{images: photos/ada.jpg, id: }]", 1, 43, "expected text, found nothing"),
    (ADA + "prompts: {a: b}", 2, 10, "expected text or a list, found a mapping"),
    (ADA + "render: {steps: 1e3}", 2, 17, "expected a whole number, found '1e3'"),
    (ADA + "render: {guidance: .inf}", 2, 20, "expected a number"),
    (ADA + "render: {guidance: nan}", 2, 20, "expected a"),
    (ADA + "render: {size: 65}", 2, 16, "a multiple of 8"),
    (ADA + "render: {scheduler: dimm}", 2, 21, "did you mean ddim?"),
    (ADA + "render:", 2, 8, "found nothing"),
    (ADA + "compute: 4", 2, 10, "expected a mapping (identities_per_batch"),
    (ADA + "compute: {checkpoint_every: 0}", 2, 29, "expected at least 1"),
]


@pytest.mark.parametrize(("text", "line", "column", "part"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named_at_its_place(folder: Path, text: str, line: int, column: int, part: str) -> None:
    check_mistake(folder, text, line, column, part)


def test_a_bad_key_does_not_hide_the_rest_of_its_entry(folder: Path) -> None:
    text = "identities:\n- {images: [nope.jpg, photos/ada.jpg, no2.jpg], id: CON, limit: x, extra: 1}\n"
    assert [problem.key for problem in problems(folder, text)] == [
        "identities[0].images[0]",
        "identities[0].images[2]",
        "identities[0].id",
        "identities[0].limit",
        "identities[0].extra",
    ]
