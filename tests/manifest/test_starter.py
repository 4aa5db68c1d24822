from __future__ import annotations

from pathlib import Path

from crossinit_batch.manifest.load import load_manifest
from crossinit_batch.manifest.schema import manifest_file
from crossinit_batch.manifest.starter import SCHEMA_FILE, starter_manifest


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
    assert [key for key in manifest_file().model_fields if f"{key}:" not in text] == []
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
        lines.append(bare if optional or line.startswith(("# name:", "# output:", "# evaluate:")) else line)
    (tmp_path / "m.yaml").write_text("\n".join(lines))
    manifest = load_manifest(tmp_path / "m.yaml")
    assert [identity.id for identity in manifest.identities] == ["eve", "ada"]
    assert [method.name for method in manifest.methods] == ["cross-init-fast", "no-regularizer", "my-names"]
    assert manifest.render.size == 512 and manifest.name == "faces" and manifest.evaluate is not None
