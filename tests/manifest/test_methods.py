from __future__ import annotations

from pathlib import Path

import pytest

from crossinit_batch.methods.embedding.settings import InitSettings
from crossinit_batch.methods.registry import presets
from tests.helpers import manifest_folder
from tests.helpers.manifest_folder import ADA, check_mistake, load

folder = manifest_folder.folder


def test_methods_vary_presets(folder: Path) -> None:
    text = """methods:
  - textual-inversion
  - {name: no-reg, use: cross-init, regularization: 0}
  - {name: cross-init-fast, init: {names: names.txt, vectors: 3}}
  - {name: ti-names, use: textual-inversion, init: names}
"""
    methods = load(folder, ADA + text).methods
    assert [(method.name, method.preset) for method in methods] == [
        ("textual-inversion", "textual-inversion"),
        ("no-reg", "cross-init"),
        ("cross-init-fast", "cross-init-fast"),
        ("ti-names", "textual-inversion"),
    ]
    assert methods[1].settings == presets()["cross-init"].model_copy(update={"regularization": 0.0})
    assert methods[2].settings.steps == 25
    assert methods[2].settings.init.names == str(folder / "names.txt") and methods[2].settings.init.vectors == 3
    assert methods[3].settings.init == InitSettings.model_validate({}) and methods[3].settings.steps == 5000
    assert type(methods[1].settings) is type(presets()["cross-init"])


def test_a_list_of_values_unfolds_into_named_methods(folder: Path) -> None:
    text = """methods:
  - {name: lambda, use: cross-init, regularization: [0, 1e-6, 1E-3]}
  - {name: grid, use: textual-inversion, steps: [25, 320], crop: [center, stretch], flip: false}
"""
    methods = load(folder, ADA + text).methods
    assert [method.name for method in methods] == [
        "lambda-0",
        "lambda-1e-6",
        "lambda-1e-3",
        "grid-25-center",
        "grid-25-stretch",
        "grid-320-center",
        "grid-320-stretch",
    ]
    assert [method.settings.regularization for method in methods[:3]] == [0.0, 1e-6, 1e-3]
    assert [(one.settings.steps, one.settings.crop) for one in methods[3:]] == [
        (25, "center"),
        (25, "stretch"),
        (320, "center"),
        (320, "stretch"),
    ]
    assert all(one.preset == "textual-inversion" and not one.settings.flip for one in methods[3:])
    assert methods[0].settings == presets()["cross-init"].model_copy(update={"regularization": 0.0})


MISTAKES = [
    (ADA + "methods: []", 2, 10, "the list is empty"),
    (ADA + "methods: cross-init", 2, 10, "write [cross-init]"),
    (ADA + "methods: [cros-init]", 2, 11, "did you mean cross-init?"),
    (ADA + "methods: [{use: cross-init}]", 2, 11, "the key name is required"),
    (ADA + "methods: [{name: x}]", 2, 18, "say which one it varies"),
    (ADA + "methods: [{name: x, use: zzz}]", 2, 26, "unknown preset 'zzz'"),
    (ADA + "methods: [{name: Xy, use: cross-init}]", 2, 18, "must be lower case: xy"),
    (ADA + "methods: [{name: gallery, use: cross-init}]", 2, 18, "the output folder needs itself"),
    (ADA + "methods: [{name: plan.json, use: cross-init}]", 2, 18, "the output folder needs itself"),
    (ADA + "methods: [cross-init, cross-init]", 2, 23, "is also used on line 2"),
    (
        ADA + "methods: [{name: x, use: cross-init, steps: true}]",
        2,
        45,
        "expected a whole number, found 'true'",
    ),
    (ADA + "methods: [{name: x, use: cross-init, learning_rate: 0}]", 2, 53, "above 0"),
    (ADA + "methods: [{name: x, use: cross-init, flip: 3}]", 2, 44, "expected true or false"),
    (ADA + "methods: [{name: x, use: cross-init, place: outptu}]", 2, 45, "outptu"),
    (ADA + "methods: [{name: x, use: cross-init, steps: []}]", 2, 45, "the list is empty"),
    (ADA + "methods: [{name: x, use: cross-init, steps: [3, 0]}]", 2, 49, "at least 1"),
    (ADA + "methods: [{name: x, use: cross-init, steps: [3, some]}]", 2, 49, "a whole number"),
    (ADA + "methods: [{name: x, use: cross-init, steps: [25, 25]}]", 2, 18, "'x-25' is also used on line 2"),
    (ADA + "methods: [{name: x-25, use: cross-init}, {name: x, use: cross-init, steps: [25, 3]}]", 2, 49, "also used"),
    (ADA + f"methods: [{{name: {'x' * 63}, use: cross-init, steps: [25, 3]}}]", 2, 18, "64 at most"),
    (ADA + "methods: [{name: x, use: cross-init, init: [names]}]", 2, 44, "found a list"),
    (ADA + "methods: [{name: x, use: cross-init, init: nams}]", 2, 44, "expected names, found 'nams'"),
    (ADA + "methods: [{name: x, use: cross-init, init: {names: nope.txt}}]", 2, 52, "there is no file"),
    (ADA + "methods: [{name: x, use: cross-init, init: {names: photos}}]", 2, 52, "there is no file"),
    (ADA + "methods: [{name: x, use: cross-init, init: {words: [a], names: names.txt}}]", 2, 44, "not both"),
    (ADA + "methods: [{name: x, use: cross-init, init: {words: []}}]", 2, 52, "the list is empty"),
]


@pytest.mark.parametrize(("text", "line", "column", "part"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named_at_its_place(folder: Path, text: str, line: int, column: int, part: str) -> None:
    check_mistake(folder, text, line, column, part)
