from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from crossinit_batch.manifest.schema import manifest_schema
from crossinit_batch.manifest.starter import starter_manifest

FULL: dict[str, Any] = {
    "version": 1,
    "name": "celeba",
    "model": {"id": "demo", "revision": None, "dtype": "float32"},
    "output": "s3://bucket/out",
    "seed": 2**63 - 1,
    "identities": ["a.jpg", {"images": ["b.jpg"], "id": 7, "limit": 2}, {"images": "*.jpg"}],
    "methods": [
        "cross-init",
        {"name": "x", "use": "cross-init", "regularization": 1e-5, "init": {"words": ["person"]}},
        {"name": "cross-init-fast", "init": "names"},
        {"name": "lambda", "use": "cross-init", "regularization": [0, 1e-5], "crop": ["center", "stretch"]},
        {"name": "sides", "use": "cross-init", "place": ["input", "output"]},
    ],
    "prompts": ["a {} b", {"prompt": "{} c", "category": "d"}],
    "render": {"images_per_prompt": 32, "scheduler": "ddim"},
    "compute": {"checkpoint_every": 10},
    "evaluate": {"identity": {"weights": "a.onnx", "detector": "d.onnx", "layout": "sface"}, "prompt": None},
}


def test_the_schema_accepts_the_starter_and_a_full_manifest() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = manifest_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(starter_manifest()), schema, jsonschema.Draft7Validator)
    jsonschema.validate(FULL, schema, jsonschema.Draft7Validator)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"identities": []},
        {"identities": [{"images": []}]},
        {"identities": [{"id": "a"}]},
        {"identities": [{"images": "a", "id": "../x"}]},
        {"methods": ["cros-init"]},
        {"methods": [{"name": "X"}]},
        {"methods": [{"name": "x", "use": "cross-init", "steps": []}]},
        {"methods": [{"name": "x", "use": "cross-init", "steps": [0]}]},
        {"methods": [{"name": "x", "use": "cross-init", "place": "middle"}]},
        {"seed": -1},
        {"seed": 2**63},
        {"render": {"steps": 0}},
        {"model": {"dtype": "int8"}},
        {"unknown": 1},
    ],
)
def test_the_schema_refuses(change: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    assert not jsonschema.Draft7Validator(manifest_schema()).is_valid({**FULL, **change})


def test_the_schema_has_only_keywords_of_draft_7_and_describes_every_key() -> None:
    schema = manifest_schema()
    text = json.dumps(schema)
    later = ("$defs", "prefixItems", "unevaluatedProperties", "dependentRequired", "$anchor", "minContains")
    assert [word for word in later if f'"{word}"' in text] == []
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    sections = {"manifest": schema, **schema["definitions"]}
    bare = [
        f"{section}.{key}"
        for section, part in sections.items()
        for key, value in part["properties"].items()
        if "description" not in value and "$ref" not in value
    ]
    assert bare == []
