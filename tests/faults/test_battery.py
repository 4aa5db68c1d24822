"""The page of the battery names each of its 68 faults once, and tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def rows() -> dict[int, str]:
    """The cell of tests by the fault's number."""
    found: dict[int, str] = {}
    for line in Path(__file__).with_name("README.md").read_text(encoding="utf-8").splitlines():
        if row := re.match(r"\| (\d+)(?:–(\d+))? \|.*\| ([^|]+) \|$", line):
            for number in range(int(row[1]), int(row[2] or row[1]) + 1):
                assert number not in found, number
                found[number] = row[3]
    return found


def test_every_fault_has_a_row_with_tests_or_a_reason() -> None:
    cells = rows()
    assert sorted(cells) == list(range(1, 69))
    assert [number for number, cell in cells.items() if "::" not in cell and cell != "none"] == []


def test_every_named_test_exists() -> None:
    named = {match for cell in rows().values() for match in re.findall(r"`([\w/]+\.py)::(\w+)`", cell)}
    assert len(named) > 60
    for file, name in named:
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"
