"""Tables on terminals of any width, in pipes, and with hostile text."""

import io
import re

import pytest

from crossinit_batch.console.tables import MOST_FAILURES, failure_table, print_table
from crossinit_batch.events import JobFailed
from crossinit_batch.report.outcomes import Outcome, outcome_table

OUTCOMES = [
    Outcome("cross-init", 11, 1, 12, 220, 240, 34.04),
    Outcome("語 [red]x\x1b[2J", 0, 0, 12, 0, 240, None),
]
FAILURE = JobFailed(
    "cross-init",
    "[bold]ada\x1b[2J",
    "render",
    "out of memory at https://u:SECRET@h/x?s",
    "draw fewer at once",
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_aligned_columns() -> None:
    stream = io.StringIO()
    print_table(outcome_table(OUTCOMES), stream)
    assert stream.getvalue().splitlines() == [
        "method            embeddings  failed   images  median s",
        "cross-init             11/12       1  220/240      34.0",
        "語 [red]x\\x1b[2J        0/12       0    0/240         -",
    ]


def test_failures_have_their_hint_below_the_reason() -> None:
    stream = io.StringIO()
    print_table(failure_table([FAILURE]), stream)
    _, first, second = stream.getvalue().splitlines()
    assert first.split("  ")[0] == "[bold]ada\\x1b[2J"
    assert first.endswith("render  out of memory at https://h/x")
    assert second.strip() == "draw fewer at once"
    assert second.index("draw") == first.index("out of")


def test_only_the_first_failures_are_listed_and_the_rest_counted() -> None:
    failures = [JobFailed("m", f"id{number:03d}.", "render", "r", "") for number in range(MOST_FAILURES + 7)]
    stream = io.StringIO()
    print_table(failure_table(failures), stream)
    assert len(re.findall(r"id\d{3}\.", stream.getvalue())) == MOST_FAILURES
    assert "and 7 more in failures.json" in stream.getvalue()


@pytest.mark.parametrize("width", [20, 40, 62, 100])
def test_a_terminal_gets_what_fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    stream = Terminal()
    print_table(outcome_table(OUTCOMES), stream)
    print_table(failure_table([FAILURE]), stream)
    text = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert "\x1b" not in text and "SECRET" not in text
    assert max(len(line) for line in text.splitlines()) <= width
    assert "[bold]ada" in text.replace("\n", "") and "34.0" in text
    assert ("median s: 34.0" in text) is (width < 62)
    assert ("identity: [bold]ada" in text.replace("\n", "")) is (width < 80)


def test_no_rows_and_a_lost_stream_are_no_errors() -> None:
    stream = io.StringIO()
    print_table(outcome_table([]), stream)
    assert stream.getvalue().split() == ["method", "embeddings", "failed", "images", "median", "s"]
    stream.close()
    print_table(failure_table([FAILURE]), stream)
    print_table(failure_table([]), None)


def test_a_dumb_terminal_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    print_table(outcome_table(OUTCOMES), stream)
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().startswith("method  ")
