"""The form follows the stream: bars on a terminal, lines in a pipe, JSON on request; never an exception."""

import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest

from crossinit_batch.console.reporter import reporter_for
from crossinit_batch.events import (
    ArtifactDone,
    CheckpointSaved,
    DenoiseStepDone,
    Event,
    ImagesDone,
    ImagesJudged,
    JobFailed,
    Note,
    Reporter,
    RunFinished,
    RunStarted,
    StepDone,
    Warned,
)

IDS = ("ada [red]", "bob\x1b[2J", "cy", "dee")
START = RunStarted("celeba", "s3://k:SECRET@b/out", "demo", "cuda:0", "bfloat16", 4, 0, 32, 0, 12)
END = RunFinished("out", 3, 24, 1, 0, 12.0)
ROOT = Path(__file__).parents[2]


def whole_run() -> Iterator[Event]:
    yield START
    yield Warned("small [bold]picture[/bold] \x1b[31m")
    yield Note("a note")
    for step in range(1, 4):
        yield StepDone("cross-init", IDS, step, 3, 1.0 / step)
    yield CheckpointSaved("cross-init", IDS, 3)
    yield JobFailed("cross-init", IDS[1], "personalize", "the loss is NaN", "lower the rate")
    for identity in (IDS[0], *IDS[2:]):
        yield ArtifactDone("cross-init", identity, 4.0)
        yield DenoiseStepDone("cross-init", 8, 1, 2)
        yield DenoiseStepDone("cross-init", 8, 2, 2)
        yield ImagesDone("cross-init", identity, 8)
    yield END


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def pseudo_terminal() -> Iterator[tuple[TextIO, list[bytes]]]:
    """A stream that is a terminal, and what arrived on its screen once the block is left."""
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    seen: list[bytes] = []

    def drain() -> None:
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:
                return
            if not data:
                return
            seen.append(data)

    reader = threading.Thread(target=drain)
    reader.start()
    try:
        with os.fdopen(slave, "w", encoding="utf-8") as stream:
            yield stream, seen
    finally:
        reader.join(10)
        os.close(master)


@pytest.fixture
def terminal_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("NO_COLOR", "FORCE_COLOR", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    yield


def run_on_terminal(quiet: bool = False) -> str:
    with pseudo_terminal() as (stream, seen), reporter_for(stream, quiet=quiet) as report:
        for event in whole_run():
            report(event)
    return b"".join(seen).decode().replace("\r\n", "\n")


def plain(screen: str) -> str:
    """The text without escape sequences; what is drawn over a line stands on a line of its own."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen).replace("\r", "\n")


def last_line(text: str, start: str) -> str:
    return [line for line in text.splitlines() if line.startswith(start)][-1]


def test_a_terminal_gets_bars_and_what_matters_above(terminal_of: None) -> None:
    screen = run_on_terminal()
    text = plain(screen)
    assert "━" in text and "\x1b[?25l" in screen
    assert screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l"), "the cursor comes back"
    assert last_line(text, "embeddings").split()[-3:] == ["3/4", "1", "failed"]
    assert last_line(text, "images").rstrip().endswith(" 24/32")
    assert "failed: cross-init: bob\\x1b[2J: personalize: the loss is NaN\n  lower the rate" in text
    assert "warning: small [bold]picture[/bold] \\x1b[31m" in text
    assert "finished in 12 s: 3 embeddings, 24 images, 1 failed; out" in text
    assert "\x1b[2J" not in screen and "SECRET" not in text


def still_bars(clock: Callable[[], float]) -> tuple[Any, Callable[[int], str]]:
    """Bars that nothing refreshes, and what they show at a width."""
    from rich.console import Console

    from crossinit_batch.console.bars import Bars
    from crossinit_batch.console.safe_stream import SafeStream

    bars = Bars(SafeStream(Terminal()), clock=clock)
    bars.disable = True

    def screen(width: int) -> str:
        page = io.StringIO()
        bars.live.console = Console(file=page, width=width)
        bars.console.print(bars)
        return page.getvalue()

    return bars, screen


def test_the_bars_show_the_batch_its_loss_and_the_time_left(terminal_of: None) -> None:
    now = 0.0
    bars, screen = still_bars(lambda: now)
    assert screen(80).strip() == ""
    for event in (START, StepDone("cross-init", IDS, 1, 3, 0.5)):
        bars.take(event)
    now = 10.0
    bars.take(StepDone("cross-init", IDS, 2, 3, 0.25))
    wide, narrow = screen(100), screen(40)
    assert re.search(r"cross-init +━.* +2/3 loss 0.2500  ada \[red\], bob\\x1b\[2J \+2", wide)
    assert "10 s elapsed, at least 10 s left" in wide
    now = 14.0
    bars.take(CheckpointSaved("cross-init", IDS, 2))
    assert "14 s elapsed, at least 6 s left" in screen(100), "the estimate counts down between events"
    assert re.search(r"cross-init .*2/3 0.2500", narrow)
    assert max(len(line) for line in narrow.splitlines()) <= 40
    for worker in range(10):
        bars.take(StepDone("m", (f"w{worker}",), 1, 3, 0.5))
    assert "and 3 more batches" in screen(100)
    bars.take(DenoiseStepDone("m", 8, 3, 50))
    assert re.search(r"drawing .* 3/50 8 at once", screen(100))


def test_the_bars_count_scoring_also_where_there_is_nothing_else(terminal_of: None) -> None:
    for embeddings in (4, 0):
        bars, screen = still_bars(lambda: 0.0)
        bars.take(RunStarted("n", "out", "demo", "cpu", "float32", embeddings, embeddings, 0, 0, 0, 32, 8))
        bars.take(ImagesJudged("m", "ada", 4))
        bars.take(JobFailed("m", "bob", "evaluate", "damaged", ""))
        lines = [line.split() for line in screen(100).splitlines()]
        assert [line[0] for line in lines[:-1]] == (["embeddings", "scores"] if embeddings else ["scores"])
        assert "12/32" in lines[-2] and lines[0][-2:] == ["1", "failed"]


def test_long_names_of_a_batch_are_cut_but_counted() -> None:
    from crossinit_batch.console.bars import _detail

    assert _detail(StepDone("m", ("ada", "bob", "cy"), 1, 3, 0.25), 100) == "loss 0.2500  ada, bob +1"
    long = ("x" * 20, "y" * 20, "z")
    assert _detail(StepDone("m", long, 1, 3, 0.25), 100) == f"loss 0.2500  {'x' * 20} +2"
    assert _detail(StepDone("m", ("x" * 90,), 1, 3, 0.25), 90) == f"loss 0.2500  {'x' * 29}…"


@pytest.mark.parametrize("width", [1, 10, 40, 62, 300])
def test_any_width_works_and_no_line_is_wider(width: int, terminal_of: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = plain(run_on_terminal())
    if width >= 40:
        assert last_line(text, "embeddings")
        assert max(len(line) for line in text.splitlines()) <= width
    else:
        assert "finishedin12s" in "".join(text.split())


def test_no_color_has_bars_without_colour(terminal_of: None, monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7])[;m]")
    assert coloured.search(run_on_terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    screen = run_on_terminal()
    assert not coloured.search(screen)
    assert "embeddings" in screen


def test_a_dumb_terminal_and_a_quiet_run_get_plain_lines(terminal_of: None, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = run_on_terminal(quiet=True)
    assert [line[10:].split(":")[0] for line in quiet.splitlines()] == [
        "warning",
        "failed",
        "lower the rate",
        "finished in 12 s",
    ]
    monkeypatch.setenv("TERM", "dumb")
    dumb = run_on_terminal()
    assert "\x1b" not in quiet + dumb and "\r" not in quiet + dumb
    assert "embedding done in 4.0 s (3/4 embeddings)" in dumb


def test_a_pipe_gets_plain_lines_even_when_colour_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    with reporter_for(stream) as report:
        for event in whole_run():
            report(event)
    text = stream.getvalue()
    assert "\x1b" not in text and "\r" not in text and "SECRET" not in text
    assert all(re.match(r"\d\d:\d\d:\d\d  |          ", line) for line in text.splitlines())
    assert "finished in 12 s" in text


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_json_wins_over_the_terminal(kind: type[io.StringIO], terminal_of: None) -> None:
    stream = kind()
    with reporter_for(stream, json=True) as report:
        for event in whole_run():
            report(event)
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == [event.as_dict()["event"] for event in whole_run()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"]) for event in events)


class Breaks(Terminal):
    """A terminal or pipe whose reader leaves after some writes."""

    def __init__(self, tty: bool, good: int) -> None:
        super().__init__()
        self.tty, self.good = tty, good

    def isatty(self) -> bool:
        return self.tty

    def write(self, text: str) -> int:
        self.good -= 1
        if self.good < 0:
            raise BrokenPipeError
        return super().write(text)


@pytest.mark.parametrize("good", [0, 1, 3, 6])
@pytest.mark.parametrize(("tty", "as_json"), [(True, False), (False, False), (False, True)])
def test_a_broken_pipe_silences_and_never_raises(tty: bool, as_json: bool, good: int, terminal_of: None) -> None:
    stream = Breaks(tty, good)
    reported = 0
    with reporter_for(stream, json=as_json) as report:
        for event in whole_run():
            report(event)
            reported += 1
    assert reported == len(list(whole_run()))
    assert stream.good < 0
    assert "finished" not in stream.getvalue()


def test_no_stream_at_all_is_silence(capfd: pytest.CaptureFixture[str]) -> None:
    with reporter_for(None) as report:
        for event in whole_run():
            report(event)
    assert capfd.readouterr() == ("", "")


def test_an_error_of_the_run_passes_and_the_cursor_comes_back(terminal_of: None) -> None:
    with (
        pseudo_terminal() as (stream, seen),
        pytest.raises(RuntimeError, match="mine"),
        reporter_for(stream) as report,
    ):
        report(START)
        raise RuntimeError("mine")
    screen = b"".join(seen).decode()
    assert screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l")


def test_a_stdout_that_goes_to_a_file_is_not_led_to_the_bars(
    terminal_of: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = io.StringIO()
    monkeypatch.setattr(sys, "stdout", piped)
    with pseudo_terminal() as (stream, seen), reporter_for(stream) as report:
        report(START)
        print("a result")
    assert piped.getvalue() == "a result\n"
    assert "a result" not in b"".join(seen).decode()


@pytest.mark.parametrize("tty", [True, False])
def test_many_threads_may_report(tty: bool, terminal_of: None) -> None:
    stream = Terminal() if tty else io.StringIO()

    def work(report: Reporter, worker: int) -> None:
        for number in range(50):
            report(Note(f"w{worker}n{number}."))

    with reporter_for(stream) as report:
        report(START)
        threads = [threading.Thread(target=work, args=(report, worker)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    text = plain(stream.getvalue())
    assert len(re.findall(r"w\dn\d+\.\n" if not tty else r"w\dn\d+\.", text)) == 200


def test_rich_and_torch_are_not_imported_before_they_are_needed() -> None:
    program = (
        "import sys, crossinit_batch.console.reporter, crossinit_batch.console.tables\n"
        "print([name for name in ('rich', 'torch', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(sys.platform == "win32", reason="shell pipes")
def test_the_exit_code_survives_head() -> None:
    program = (
        "import sys; from tests.console.test_reporter import *\n"
        "with reporter_for(sys.stdout) as report:\n"
        "    for turn in range(300):\n"
        "        for event in whole_run(): report(event)\n"
        "sys.exit(3)"
    )
    shell = '"$0" -c "$1" | head -n 2; exit ${PIPESTATUS[0]}'
    done = subprocess.run(
        ["bash", "-c", shell, sys.executable, program], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert (done.returncode, done.stderr) == (3, "")
    assert len(done.stdout.splitlines()) == 2
