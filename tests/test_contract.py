"""The wings of the package and what they may import: downward only, so that no two import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "crossinit_batch"
RANKS = (
    *("commands", "runner demo", "engines", "worker", "analysis study", "report", "plan", "manifest"),
    *("methods", "evaluation", "model", "images storage", "console", "world"),
)
"""From the top; wings of one rank do not import each other either."""
RANK = {wing: rank for rank, wings in enumerate(RANKS) for wing in wings.split()}
ENTRANCES = ("cli", "__main__")
"""Modules of the top folder that import wings; the others import none."""
SMALL = ("demo", "methods", "world")
"""Made of parts, each counted for itself, beside which there are a few modules; `world` is data."""
MODULES = sorted(PACKAGE.rglob("*.py"))


def wing_of(file: Path) -> str | None:
    """The folder of the package that a module is in; None for a module of the top folder."""
    parts = file.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """The lines and names of what a module imports of the package, in functions and for type checks too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno}: a relative import"
            names = [f"{node.module}.{name}" for name in names]
        for name in names:
            if name.startswith(f"{PACKAGE.name}."):
                yield node.lineno, name.removeprefix(f"{PACKAGE.name}.")


def may_import(wing: str | None, file: Path, name: str) -> bool:
    """Whether a module of a wing, or of the top folder, may import a name of the package."""
    other = name.split(".")[0]
    if wing is None:
        return other not in RANK or file.stem in ENTRANCES
    if other not in RANK:
        return wing != "world" and other not in ENTRANCES
    return other == wing or RANK[other] > RANK[wing]


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_module_imports_only_from_wings_below_its_own(file: Path) -> None:
    wing = wing_of(file)
    wrong = [
        f"{PACKAGE.name}/{file.relative_to(PACKAGE)}:{line} imports {name}"
        for line, name in imports(file)
        if not may_import(wing, file, name)
    ]
    order = f"{wing} may import from the wings after it in {' > '.join(RANKS)}"
    assert not wrong, "\n".join([*wrong, order if wing else "the top folder may import no wing"])


def test_every_folder_is_a_wing_that_has_its_rank() -> None:
    assert {file.parent.name for file in PACKAGE.glob("*/__init__.py")} == set(RANK)


def test_folders_are_neither_crowded_nor_nearly_empty() -> None:
    counts = {
        file.parent.relative_to(PACKAGE).as_posix(): len(list(file.parent.glob("*.py"))) - 1
        for file in MODULES
        if file.name == "__init__.py"
    }
    wrong = [f"the top folder has {counts['.'] + 1}, at most 12"] if counts.pop(".") + 1 > 12 else []
    for name, count in counts.items():
        # A folder in `methods` is one method's, as small as that method is.
        least = 0 if name in SMALL or name.startswith("methods/") else 5
        if not least <= count <= 15:
            wrong.append(f"{name} has {count}, {least} to 15")
    assert not wrong, f"modules in folders: {'; '.join(wrong)}"
