from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from crossinit_batch.manifest import yaml_tree as yaml_source
from crossinit_batch.manifest.yaml_tree import ListNode, MapNode, Node, Source, TextNode, found, parse
from crossinit_batch.storage.text_file import read_text


def plain(node: Node | None) -> object:
    """The tree as lists, dicts and source texts."""
    if isinstance(node, MapNode):
        return {key: plain(value) for key, value in node.values.items()}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return node.text if node else None


def test_scalars_keep_their_source_text_and_place() -> None:
    source = parse("a: 007\nb:\n  - no\n  - 12:30:45\n  - {c: 0x1F, d: 1e-5}\n", "m.yaml")
    assert source.problems == []
    assert plain(source.root) == {"a": "007", "b": ["no", "12:30:45", {"c": "0x1F", "d": "1e-5"}]}
    assert isinstance(source.root, MapNode)
    items = source.root.values["b"]
    assert isinstance(items, ListNode)
    assert [(item.line, item.column) for item in items.items] == [(3, 5), (4, 5), (5, 5)]
    assert (source.root.keys["b"].line, source.root.keys["b"].column) == (2, 1)


def test_several_refusals_come_at_once_and_the_rest_is_still_read() -> None:
    source = parse("a: &x 1\nb: *x\n<<: *x\na: 2\nc: !!int 3\n--- d\n", "m")
    assert [(problem.line, problem.column) for problem in source.problems] == [
        (1, 4),
        (2, 4),
        (3, 1),
        (4, 1),
        (5, 4),
        (6, 1),
    ]
    assert "first on line 1" in source.problems[3].message
    assert plain(source.root) == {"a": "1", "b": "", "c": "3"}


def test_the_key_of_a_refusal_is_its_path() -> None:
    source = parse("a:\n  - {x: 1}\n  - {y: [1, &z 2]}\n", "m")
    assert source.problems[0].key == "a[1].y[1]"


@pytest.mark.parametrize(("text", "null"), [("", True), ("~", True), ("null", True), ("'null'", False), ("no", False)])
def test_null_is_only_what_yaml_calls_so(text: str, null: bool) -> None:
    root = parse(f"a: {text}", "m").root
    assert isinstance(root, MapNode)
    value = root.values["a"]
    assert isinstance(value, TextNode)
    assert value.null is null


def test_what_was_found_is_said_in_words() -> None:
    assert found(TextNode("x", 1, 1)) == "'x'" and found(TextNode("", 1, 1, plain=False)) == "''"
    assert found(TextNode("", 1, 1)) == "nothing"
    assert (found(ListNode(1, 1)), found(MapNode(1, 1))) == ("a list", "a mapping")


def test_a_problem_is_placed_where_its_node_is() -> None:
    source = Source("m.yaml")
    source.report(ListNode(3, 5), "a[1]", "is bad")
    assert [str(problem) for problem in source.problems] == ["m.yaml:3:5: a[1]: is bad"]


BOMBS = {
    "aliases": "a: &a [x, x]\n"
    + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "merges": "a: &a {k: 1}\n" + "".join(f"m{i}: {{<<: *a}}\n" for i in range(5000)),
    "lists": "[" * 5000,
    "mappings": "{a: " * 5000,
    "keys": "? " * 5000,
    "blocks": "".join(" " * i + "a:\n" for i in range(3000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_early(name: str) -> None:
    started = time.perf_counter()
    source = parse(BOMBS[name], "m")
    assert source.problems
    assert time.perf_counter() - started < 5  # a bomb that went off would take for ever


def test_nesting_is_allowed_to_a_depth_of_32() -> None:
    assert parse("[" * 32 + "]" * 32, "m").problems == []
    source = parse("[" * 33 + "]" * 33, "m")
    assert source.root is None and "32 levels" in source.problems[0].message


def test_too_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_source, "MAX_EVENTS", 50)
    source = parse("- a\n" * 60, "m")
    assert source.root is None and source.problems[0].line > 40


def test_refusals_end_after_a_hundred() -> None:
    source = parse("- &a b\n" * 500, "m")
    assert len(source.problems) == yaml_source.MAX_REFUSALS + 1
    assert "was not read" in source.problems[-1].message


def test_byte_order_mark_and_carriage_returns_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: &x 2\r\n")
    source = parse(read_text(path, "m"), "m")
    assert plain(source.root) == {"a": "1", "b": "2"}
    assert (source.problems[0].line, source.problems[0].column) == (2, 4)


@pytest.mark.parametrize(("text", "column"), [("a: \0", 4), ("\x1b: 1", 1), ("a: x\x7f", 5), ("a: \ufeff", 4)])
def test_control_characters_are_refused_at_their_place(text: str, column: int) -> None:
    (problem,) = parse(text, "m").problems
    assert (problem.line, problem.column) == (1, column) and "character" in problem.message


def test_a_nul_from_an_escape_is_refused() -> None:
    source = parse('a: "x\\0"', "m")
    assert "NUL" in source.problems[0].message


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_any_text_is_a_tree_or_problems(text: str) -> None:
    source = parse(text, "m")
    assert source.root is not None or source.problems


@given(
    st.recursive(
        st.text(alphabet="abc{}[]:#&*!|>'\"%@`, \n-é", max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc:#'", min_size=1), inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_pyyaml_writes_is_read_back(value: object) -> None:
    text = yaml.safe_dump(value, allow_unicode=True, sort_keys=False)
    source = parse(text, "m")
    if not source.problems:  # PyYAML writes anchors for repeated lists
        assert plain(source.root) == value
    else:
        assert "&id" in text
