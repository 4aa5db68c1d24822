"""A YAML parser's complaint in our words, at the line and column where a user would mend it."""

from __future__ import annotations

import yaml

from crossinit_batch.errors import Problem

_TAB = "a tab is used to indent: use spaces"

# Parts of what libyaml and PyYAML's own parser say → our words; the first that fits counts.
_WORDS = (
    (("tab character",), _TAB),
    (
        ("mapping values are not allowed",),
        "a colon where none fits: check the indentation, or quote a value with ': '",
    ),
    (("could not find expected ':'",), "a key without its colon: write `key: value`"),
    (
        ("invalid Unicode character escape",),
        r"a \ escape that is no character: write \\, or use single quotes",
    ),
    (
        ("directive", "YAML document", "version number"),
        "a line that begins with % is a directive, which is not read here: remove it",
    ),
    (
        ("expected tag URI", "expected '>'", "undefined tag handle"),
        "a value that begins with ! needs quotes; tags are not read here",
    ),
    (
        ("unexpected end of stream", "unexpected document indicator"),
        "the quotation mark opened on line {since} is never closed",
    ),
    (("unknown escape",), r"an unknown \ escape: write \\, or use single quotes"),
    (("hexdecimal",), r"an unfinished \ escape: write \\, or use single quotes"),
    (("entries are not allowed",), "a list entry (-) where none fits: check the indentation"),
    (("keys are not allowed",), "a key where none fits: check the indentation"),
    (("alphabetic or numeric",), "a value that begins with * or & needs quotes, such as '*.jpg'"),
    (
        ("expected key",),
        "this does not line up with the mapping that begins on line {since}: check indentation and quotes",
    ),
    (
        ("'-' indicator",),
        "this does not line up with the list that begins on line {since}: check indentation and quotes",
    ),
    (
        ("<block end>",),
        "this does not line up with what begins on line {since}: check indentation and quotes",
    ),
    (
        ("',' or ']'",),
        "the [ on line {since} is not closed, or a comma is missing, or a value needs quotes",
    ),
    (
        ("',' or '}'",),
        "the { on line {since} is not closed, or a comma is missing, or a value needs quotes",
    ),
    (("node content",), "a value is missing here, or needs quotes"),
    (("<document start>",), "this does not belong to what is above: check the indentation and the quotes"),
)


def syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    """What is wrong with the YAML `text` of `file`."""
    complaint, context = error.problem or "this is not YAML", error.context or ""
    began = error.context_mark
    in_quotes = "quoted scalar" in context and "found unexpected" in complaint
    mark = began if began and in_quotes else error.problem_mark or began
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    since = began.line + 1 if began else line
    return Problem(file, line, column, "", _message(complaint, text.splitlines(), line, column, since))


def _message(complaint: str, rows: list[str], line: int, column: int, since: int) -> str:
    """Our words for a complaint at a position in these rows; `since` is the line where what is open began."""
    row = rows[line - 1] if line <= len(rows) else ""
    if "cannot start any token" in complaint:
        here = row[column - 1 : column]
        tab = here == "\t" or (not row[: column - 1].strip(" \t") and "\t" in row[:column])
        return _TAB if tab else f"a value that begins with {here} needs quotes"
    if "node content" in complaint and line > len(rows):
        return "the file ends where a value or a closing ] or } is wanted"
    known = (words for parts, words in _WORDS if any(part in complaint for part in parts))
    message = next(known, f"this is not YAML: {complaint}").replace("{since}", str(since))
    hint = "; a prompt that begins with {} or stands in [ ] needs quotes"
    return message + hint if "{}" in row else message
