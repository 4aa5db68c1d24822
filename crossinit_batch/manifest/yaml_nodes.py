"""The tree of a YAML file: nodes that know line and column, and the problems found among them.

Scalars keep their source text (`007`, `no`, `12:30:45` stay as written): the reader knows what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from crossinit_batch.errors import Problem
from crossinit_batch.messages import quoted


@dataclass(slots=True)
class TextNode:
    """A scalar as written; `refused` stands for something already reported, of which no more need be said."""

    text: str
    line: int
    column: int
    plain: bool = True
    refused: bool = False

    @property
    def null(self) -> bool:
        """Whether YAML reads it as no value."""
        return self.plain and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(slots=True)
class ListNode:
    """A list."""

    line: int
    column: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class MapNode:
    """A mapping: its keys as written and their values; of a key given twice, the first."""

    line: int
    column: int
    keys: dict[str, TextNode] = field(default_factory=dict)
    values: dict[str, Node] = field(default_factory=dict)


Node = TextNode | ListNode | MapNode


@dataclass
class Source:
    """A YAML file that was read: its tree, None if there is none to go on with, and its problems so far."""

    file: str
    root: Node | None = None
    problems: list[Problem] = field(default_factory=list)

    def report(self, place: Node, key: str, message: str) -> None:
        """Note a problem at a node; `key` is its path, such as `identities[3].id`."""
        self.problems.append(Problem(self.file, place.line, place.column, key, message))


def found(node: Node) -> str:
    """What a node is, for a message that says what was found."""
    if isinstance(node, TextNode):
        return quoted(node.text) if node.text or not node.plain else "nothing"
    return "a list" if isinstance(node, ListNode) else "a mapping"
