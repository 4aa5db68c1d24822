from __future__ import annotations

import pytest
import yaml

from crossinit_batch.manifest import yaml_tree as yaml_source
from crossinit_batch.manifest.yaml_tree import parse

SYNTAX = [
    ("a: [1\nb: 2", 2, 2, "the [ on line 1 is not closed"),
    ("a: {b: 1", 2, 1, "the { on line 1 is not closed"),
    ("x: [a {} p]", 1, 7, "a prompt that begins with {} or stands in [ ] needs quotes"),
    ("- {} person", 1, 6, "needs quotes"),
    ("a: b: c", 1, 5, "a colon where none fits"),
    ("a:\n\tb: 1", 2, 1, "a tab is used to indent"),
    ("a: *.jpg", 1, 5, "'*.jpg'"),
    ("a: @b", 1, 4, "begins with @ needs quotes"),
    ("a:\n  'x\n", 2, 3, "opened on line 2 is never closed"),
    ('a: "\\q"', 1, 5, "an unknown \\ escape"),
    ("a:\n  - x\n  b: 1", 3, 3, "line up with the list that begins on line 2"),
    ("a: 1\n- b", 2, 1, "line up with the mapping that begins on line 1"),
    ("[a,,b]", 1, 4, "a value is missing here"),
    ("%FOO\n---\na: 1", 1, 5, "a directive"),
    ("a: !x!y z", 1, 4, "begins with ! needs quotes"),
]


@pytest.mark.parametrize(("text", "line", "column", "part"), SYNTAX)
def test_syntax_errors_are_said_in_our_words(text: str, line: int, column: int, part: str) -> None:
    source = parse(text, "m.yaml")
    assert source.root is None
    (problem,) = source.problems
    if hasattr(yaml, "CSafeLoader"):  # libyaml and the Python parser differ by a column here and there
        assert (problem.line, problem.column) == (line, column)
    assert part in problem.message


@pytest.mark.parametrize("text", [case[0] for case in SYNTAX if "%" not in case[0]])
def test_the_pure_python_parser_refuses_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_source, "_LOADER", yaml.SafeLoader)
    source = parse(text, "m.yaml")
    assert source.root is None and len(source.problems) == 1
