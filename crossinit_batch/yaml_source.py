"""YAML text → a tree of nodes that know line and column; whatever is not plain data is refused.

Scalars keep their source text (`007`, `no`, `12:30:45` stay as written): the reader knows what they mean.
Anchors, aliases, merge keys and tags are refused, so no text can stand for more than its own size.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from crossinit_batch.errors import ManifestError, Problem
from crossinit_batch.redact import redact_urls

MAX_BYTES = 16 * 2**20
MAX_EVENTS = 1_000_000
MAX_DEPTH = 32
MAX_REFUSALS = 100

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


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


def shown(text: str) -> str:
    """A value as messages show it: quoted, without credentials, and cut when long."""
    text = redact_urls(text[:2000])
    return repr(text) if len(text) <= 80 else f"{text[:77]!r}…"


def found(node: Node) -> str:
    """What a node is, for a message that says what was found."""
    if isinstance(node, TextNode):
        return shown(node.text) if node.text or not node.plain else "nothing"
    return "a list" if isinstance(node, ListNode) else "a mapping"


def read_text(path: Path, file: str) -> str:
    """The text of a UTF-8 file (BOM accepted, at most 16 MiB); `file` is its name in messages."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise _only(file, 1, 1, "this is a folder, not a file") from None
    except FileNotFoundError:
        raise _only(file, 1, 1, "there is no such file") from None
    except (OSError, ValueError) as error:
        raise _only(file, 1, 1, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_BYTES:
        raise _only(file, 1, 1, "the file is larger than 16 MiB")
    data = data.removeprefix(BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        line, column = _position(before, len(before))
        utf16 = data[:2] in (BOM_UTF16_LE, BOM_UTF16_BE)
        kind = "UTF-16" if utf16 else f"byte 0x{data[error.start]:02x}"
        raise _only(file, line, column, f"the file is not UTF-8 ({kind}): save it as UTF-8") from None


def parse(text: str, file: str) -> Source:
    """The tree of a YAML text; refusals are in `problems`, and root is None past repair."""
    source = Source(file)
    if bad := _UNPRINTABLE.search(text):
        line, column = _position(text, bad.start())
        name = "a NUL character" if bad[0] == "\0" else f"a control character (U+{ord(bad[0]):04X})"
        source.problems.append(Problem(file, line, column, "", f"{name} is in the file: remove it"))
        return source
    builder = _Builder(source)
    try:
        builder.build(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        source.problems.append(_syntax_problem(error, text, file))
        source.root = None
    except yaml.YAMLError as error:
        source.problems.append(Problem(file, 1, 1, "", f"this is not YAML: {error}"))
        source.root = None
    if source.root is None and not source.problems:
        source.problems.append(Problem(file, 1, 1, "", "the file is empty"))
    return source


class _Stop(Exception):
    """Reading further makes no sense; the reason is already reported."""


@dataclass(slots=True)
class _Frame:
    """An open collection; `step` leads to it from its parent, `key` waits for its value in a mapping."""

    node: ListNode | MapNode
    step: str
    key: TextNode | None = None

    def next_step(self) -> str:
        """The way to the child that comes next."""
        if isinstance(self.node, ListNode):
            return f"[{len(self.node.items)}]"
        return f".{self.key.text}" if self.key and not self.key.refused else ""


class _Builder:
    """Builds the tree from parser events, without recursion."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.open: list[_Frame] = []
        self.refusals = 0

    def build(self, events: Iterator[yaml.Event]) -> None:
        """Fill in the source's root; on a rule that ends the reading, root becomes None."""
        try:
            for number, event in enumerate(events, 1):
                mark = event.start_mark
                place = TextNode("", mark.line + 1, mark.column + 1) if mark else TextNode("", 1, 1)
                if number > MAX_EVENTS:
                    self.refuse(place, "the file has more than 1,000,000 parts")
                    raise _Stop
                if isinstance(event, yaml.DocumentStartEvent) and self.source.root is not None:
                    self.refuse(place, "a second document begins here: one file holds one document")
                    return
                self.take(event, place)
        except _Stop:
            self.source.root = None

    def take(self, event: yaml.Event, place: TextNode) -> None:
        if isinstance(event, yaml.NodeEvent) and (event.anchor is not None or getattr(event, "tag", None)):
            self.check(event, place)
        if isinstance(event, yaml.ScalarEvent):
            place.text, place.plain = event.value, not event.style
            if "\0" in event.value:
                self.refuse(place, "the value has a NUL character")
                place.refused = True
            self.add(place)
        elif isinstance(event, yaml.AliasEvent):
            place.refused = True
            self.add(place)
        elif isinstance(event, yaml.CollectionStartEvent):
            kind = MapNode if isinstance(event, yaml.MappingStartEvent) else ListNode
            node = kind(place.line, place.column)
            step = self.open[-1].next_step() if self.open else ""
            self.add(node)
            self.open.append(_Frame(node, step))
            if len(self.open) > MAX_DEPTH:
                self.refuse(place, f"this is nested more than {MAX_DEPTH} levels deep")
                raise _Stop
        elif isinstance(event, yaml.CollectionEndEvent):
            self.open.pop()

    def check(self, event: yaml.NodeEvent, place: TextNode) -> None:
        """Refuse aliases, anchors and tags."""
        if isinstance(event, yaml.AliasEvent):
            if not (self.open and self.open[-1].key and self.open[-1].key.refused):
                name = f"*{event.anchor}"
                self.refuse(
                    place, f"{name} is an alias, which is not read here: repeat the value, or quote '{name}'"
                )
        elif event.anchor is not None:
            self.refuse(
                place, f"&{event.anchor} is an anchor, which is not read here: remove it, or quote the value"
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            self.refuse(
                place, f"{shown(tag)} is a tag, which is not read here: remove it, or quote the value"
            )

    def add(self, node: Node) -> None:
        """Put a node where the innermost open collection wants it."""
        if not self.open:
            self.source.root = node
            return
        frame = self.open[-1]
        if isinstance(frame.node, ListNode):
            frame.node.items.append(node)
        elif frame.key is None:
            frame.key = self.key_of(node, frame.node)
        else:
            if not frame.key.refused:
                frame.node.keys[frame.key.text] = frame.key
                frame.node.values[frame.key.text] = node
            frame.key = None

    def key_of(self, node: Node, mapping: MapNode) -> TextNode:
        if not isinstance(node, TextNode):
            self.refuse(node, "a key must be a word, not " + found(node))
            return TextNode("?", node.line, node.column, refused=True)
        if node.plain and node.text == "<<":
            self.refuse(node, "<< (a merge key) is not read here: write the keys out")
            node.refused = True
        elif node.text in mapping.keys:
            first = mapping.keys[node.text].line
            self.refuse(node, f"the key {shown(node.text)} is given twice, first on line {first}")
            node.refused = True
        return node

    def refuse(self, place: Node, message: str) -> None:
        steps = [frame.step for frame in self.open] + [frame.next_step() for frame in self.open[-1:]]
        key = "".join(steps).lstrip(".") if len(steps) <= MAX_DEPTH else ""
        self.source.report(place, key, message)
        self.refusals += 1
        if self.refusals >= MAX_REFUSALS:
            self.source.report(
                place, "", f"{MAX_REFUSALS} such problems so far: the rest of the file was not read"
            )
            raise _Stop


def _only(file: str, line: int, column: int, message: str) -> ManifestError:
    return ManifestError([Problem(file, line, column, "", message)])


def _position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of an offset."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


_WORDS = (
    ("tab character", "a tab is used to indent: use spaces"),
    (
        "mapping values are not allowed",
        "a colon where none fits: check the indentation, or quote a value with ': '",
    ),
    ("could not find expected ':'", "a key without its colon: write `key: value`"),
    ("invalid Unicode character escape", r"a \ escape that is no character: write \\, or use single quotes"),
    ("directive", "a line that begins with % is a directive, which is not read here: remove it"),
    ("YAML document", "a line that begins with % is a directive, which is not read here: remove it"),
    ("version number", "a line that begins with % is a directive, which is not read here: remove it"),
    ("expected tag URI", "a value that begins with ! needs quotes; tags are not read here"),
    ("expected '>'", "a value that begins with ! needs quotes; tags are not read here"),
    ("unexpected end of stream", "the quotation mark opened on line {since} is never closed"),
    ("unexpected document indicator", "the quotation mark opened on line {since} is never closed"),
    ("unknown escape", r"an unknown \ escape: write \\, or use single quotes"),
    ("hexdecimal", r"an unfinished \ escape: write \\, or use single quotes"),
    ("entries are not allowed", "a list entry (-) where none fits: check the indentation"),
    ("keys are not allowed", "a key where none fits: check the indentation"),
    ("alphabetic or numeric", "a value that begins with * or & needs quotes, such as '*.jpg'"),
    ("undefined tag handle", "a value that begins with ! needs quotes; tags are not read here"),
    (
        "expected key",
        "this does not line up with the mapping that begins on line {since}: check indentation and quotes",
    ),
    (
        "'-' indicator",
        "this does not line up with the list that begins on line {since}: check indentation and quotes",
    ),
    ("<block end>", "this does not line up with what begins on line {since}: check indentation and quotes"),
    ("',' or ']'", "the [ on line {since} is not closed, or a comma is missing, or a value needs quotes"),
    ("',' or '}'", "the {{ on line {since} is not closed, or a comma is missing, or a value needs quotes"),
    ("node content", "a value is missing here, or needs quotes"),
    ("<document start>", "this does not belong to what is above: check the indentation and the quotes"),
)


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    """A parser's complaint, in our words."""
    mark = error.problem_mark or error.context_mark
    if (
        error.context_mark
        and "quoted scalar" in (error.context or "")
        and "found unexpected" in (error.problem or "")
    ):
        mark = error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    since = error.context_mark.line + 1 if error.context_mark else line
    rows = text.splitlines()
    row = rows[line - 1] if line <= len(rows) else ""
    here = row[column - 1 : column]
    complaint = error.problem or "this is not YAML"
    message = next((words for part, words in _WORDS if part in complaint), "this is not YAML: " + complaint)
    if "cannot start any token" in complaint:
        tab = here == "\t" or (not row[: column - 1].strip(" \t") and "\t" in row[:column])
        message = _WORDS[0][1] if tab else f"a value that begins with {here} needs quotes"
    elif "node content" in complaint and line > len(rows):
        message = "the file ends where a value or a closing ] or } is wanted"
    elif "{}" in row:
        message += "; a prompt that begins with {{}} or stands in [ ] needs quotes"
    if "{since}" in message or "{{" in message:
        message = message.format(since=since)
    return Problem(file, line, column, "", message)
