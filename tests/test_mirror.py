"""Every module has a test module of its name in the mirrored folder, or one that is known to cover it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "crossinit_batch"

COVERED_BY: dict[str, str] = {}
"""Modules without a test module of their name, and what drives them instead, mostly through those who use them."""


def has_code(file: Path) -> bool:
    """Whether a module has anything to test: an `__init__.py` is mostly a docstring, and a version at the top."""
    if file.name != "__init__.py" or file.parent == PACKAGE:
        return file.name != "__init__.py"
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign) for node in body)


def mirror_of(file: Path) -> Path:
    """The test module that has a module's name; a package's own code is tested beside the package's folder."""
    part = file.relative_to(PACKAGE).with_suffix("")
    part = part.parent if part.name == "__init__" else part
    return ROOT / "tests" / part.parent / f"test_{part.name}.py"


def name_of(file: Path) -> str:
    """A module's dotted name below the package."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): mirror_of(file) for file in sorted(PACKAGE.rglob("*.py")) if has_code(file)}


def test_every_module_has_a_test_of_its_name_or_one_that_covers_it() -> None:
    bare = [
        f"{name}: neither {mirror.relative_to(ROOT)} nor an entry in COVERED_BY that names what covers it"
        for name, mirror in MODULES.items()
        if not mirror.is_file() and name not in COVERED_BY
    ]
    assert not bare, "\n".join(bare)


def test_no_entry_is_superfluous_and_all_that_is_named_exists() -> None:
    wrong = [f"{name}: no such module" for name in COVERED_BY if name not in MODULES]
    wrong += [
        f"{name}: superfluous, {mirror.relative_to(ROOT)} exists"
        for name, mirror in MODULES.items()
        if name in COVERED_BY and mirror.is_file()
    ]
    wrong += [f"{name}: no {test}" for name, test in COVERED_BY.items() if not (ROOT / test).is_file()]
    assert not wrong, "\n".join(wrong)
    assert list(COVERED_BY) == sorted(COVERED_BY)
