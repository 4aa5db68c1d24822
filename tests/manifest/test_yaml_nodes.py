from __future__ import annotations

import pytest

from crossinit_batch.manifest.yaml_nodes import ListNode, MapNode, Source, TextNode, found
from crossinit_batch.manifest.yaml_tree import parse


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


def test_a_problem_stands_where_its_node_is() -> None:
    source = Source("m.yaml")
    source.report(ListNode(3, 5), "a[1]", "is bad")
    assert [str(problem) for problem in source.problems] == ["m.yaml:3:5: a[1]: is bad"]
