"""What the documents say is true: commands exist, manifests load, the shown one-liners are the ones that are run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.main import get_command

from crossinit_batch.cli import app
from crossinit_batch.manifest.load import load_manifest
from crossinit_batch.methods.registry import presets
from tests.helpers.picture_samples import picture_bytes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
MANIFESTS = sorted((ROOT / "manifests").glob("*.yaml"))


def commands() -> set[str]:
    return set(get_command(app).commands)  # type: ignore[attr-defined]


def test_there_are_manifests_to_check() -> None:
    names = {path.stem for path in MANIFESTS}
    assert {"quickstart", "celeba", "fast", "baselines", "ablation"} <= names


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_shipped_manifests_load(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    for number in range(3):
        (tmp_path / f"photo-{number}.jpg").write_bytes(picture_bytes(number, kind="JPEG"))
        (tmp_path / f"drawn-{number}.png").write_bytes(picture_bytes(number))
    for variable in ("CELEBA", "PHOTOS"):
        monkeypatch.setenv(variable, str(tmp_path))
    manifest = load_manifest(tmp_path / "manifests" / path.name)
    assert len(manifest.identities) >= 3
    assert manifest.output == str(tmp_path / "out" / path.stem)
    assert manifest.methods and manifest.prompts


def test_readme_names_every_command_and_no_other() -> None:
    named = set(re.findall(r"crossinit ([a-z][a-z-]+)\b", README)) - {"init", "schema"}
    assert named - commands() == set()
    assert commands() - named <= {"init", "schema"}
    assert "crossinit init, schema" in README


def test_readme_names_every_method() -> None:
    assert all(f"| `{name}` |" in README for name in presets())


def test_readme_manifest_loads(tmp_path: Path) -> None:
    text = re.search(r"```yaml\n(version: 1.*?)```", README, re.DOTALL)
    assert text is not None
    for name in ("photos/bob.jpg", "more/ada-1.jpg", "more/ada-2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture_bytes(1, kind="JPEG"))
    (tmp_path / "manifest.yaml").write_text(text[1])
    manifest = load_manifest(tmp_path / "manifest.yaml")
    assert [identity.id for identity in manifest.identities] == ["bob", "ada"]
    assert len(manifest.prompts) == 20


def test_make_runs_the_commands_that_readme_shows() -> None:
    """`make test` and the line without make are the same steps, and CI runs `make test`."""
    shown = re.search(r"without make:\n\n```sh\n(.*?)\n```", README, re.DOTALL)
    assert shown is not None
    steps = [step.replace(".venv/bin/", "$(BIN)/") for step in shown[1].split(" && ")]
    makefile = (ROOT / "Makefile").read_text()
    assert steps[0] == "python3 -m venv .venv"
    assert all(step in makefile for step in steps[1:])
    assert "make test" in (ROOT / ".ci/run").read_text().splitlines()


def test_quickstart_is_the_command_that_readme_shows() -> None:
    command = re.search(r"\.venv/bin/crossinit run (\S+)", README)
    assert command is not None and (ROOT / command[1]).is_file()
    assert f"crossinit run {command[1]}" in (ROOT / "Makefile").read_text()


def test_links_lead_somewhere() -> None:
    for document in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text()):
            assert (ROOT / target).exists(), f"{document} links to {target}"


def test_the_architecture_names_modules_and_functions_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    package = ROOT / "crossinit_batch"
    files = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", text))
    assert len(files) > 30
    assert [name for name in files if not ((package / name).is_file() or (ROOT / name).is_file())] == []
    for function, file in re.findall(r"`(\w+)` in `([\w/]+\.py)`", text):
        assert function in (package / file).read_text(), f"{function} in {file}"
    wings = {path.parent.name for path in package.glob("*/__init__.py")}
    assert wings <= set(re.findall(r"(\w+)/", text))
