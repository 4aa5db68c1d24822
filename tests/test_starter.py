from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from crossinit_batch.manifest import load_manifest
from crossinit_batch.manifest_schema import ManifestFile, manifest_schema
from crossinit_batch.starter import SCHEMA_FILE, starter_manifest


def test_the_starter_loads_once_there_are_pictures(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "ada.jpg").touch()
    (tmp_path / "faces.yaml").write_text(starter_manifest())
    manifest = load_manifest(tmp_path / "faces.yaml")
    assert [identity.id for identity in manifest.identities] == ["ada"]
    assert manifest.model.id == "demo" and len(manifest.prompts) == 2
    assert manifest.output == str(tmp_path / "out" / "faces")


def test_the_starter_names_its_schema_and_every_key() -> None:
    text = starter_manifest()
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA_FILE}\n")
    assert [key for key in ManifestFile.model_fields if f"{key}:" not in text] == []
    assert max(map(len, text.splitlines())) <= 110


def test_what_the_starter_has_commented_out_is_right_too(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "ada").mkdir()
    for name in ("photos/eve.jpg", "ada/1.jpg", "ada/2.jpg", "names.txt"):
        (tmp_path / name).touch()
    lines = []
    for line in starter_manifest().splitlines():
        bare = line.replace("# ", "", 1)
        optional = line.lstrip().startswith(("# - {", "# - id", "#   images", "# limit:", "# neg", "# size:"))
        lines.append(bare if optional or line.startswith(("# name:", "# output:")) else line)
    (tmp_path / "m.yaml").write_text("\n".join(lines))
    manifest = load_manifest(tmp_path / "m.yaml")
    assert [identity.id for identity in manifest.identities] == ["eve", "ada"]
    assert [method.name for method in manifest.methods] == ["cross-init-fast", "no-regularizer", "my-names"]
    assert manifest.render.size == 512 and manifest.name == "faces"


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
    ],
    "prompts": ["a {} b", {"prompt": "{} c", "category": "d"}],
    "render": {"images_per_prompt": 32, "scheduler": "ddim"},
    "compute": {"checkpoint_every": 10},
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
