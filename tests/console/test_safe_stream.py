"""Whatever the stream does, writing goes on and the exit code stays."""

import errno
import io
import subprocess
import sys

import pytest

from crossinit_batch.console.safe_stream import SafeStream


class Broken(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.calls = 0

    def write(self, text: str) -> int:
        self.calls += 1
        raise self.error


@pytest.mark.parametrize(
    "error",
    [BrokenPipeError(), OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "hung up"), ValueError("closed")],
)
def test_a_broken_stream_is_left_alone_after_the_first_error(error: Exception) -> None:
    broken = Broken(error)
    safe = SafeStream(broken)
    assert safe.write("one") == 3
    safe.flush()
    assert safe.write("two") == 3
    assert broken.calls == 1


def test_a_terminal_that_is_full_for_a_moment_is_tried_again() -> None:
    broken = Broken(BlockingIOError())
    safe = SafeStream(broken)
    safe.write("one")
    safe.write("two")
    assert broken.calls == 2


def test_closed_and_absent_streams_are_silent() -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        safe = SafeStream(stream)
        assert safe.isatty() is False
        assert safe.write("x") == 1
        safe.flush()


def test_what_the_encoding_lacks_is_escaped() -> None:
    raw = io.BytesIO()
    safe = SafeStream(io.TextIOWrapper(raw, encoding="ascii"))
    safe.write("Zoë ━ \udc80")
    safe.flush()
    assert raw.getvalue() == b"Zo\\xeb \\u2501 \\udc80"


@pytest.mark.parametrize(
    ("term", "live"), [("xterm", True), ("dumb", False), ("DUMB", False), ("unknown", False), ("", False)]
)
def test_a_dumb_terminal_is_not_live(term: str, live: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    assert SafeStream(terminal).is_live is live
    assert SafeStream(io.StringIO()).is_live is False


@pytest.mark.skipif(sys.platform == "win32", reason="shell redirections")
@pytest.mark.parametrize("redirect", ["| true", "| head -n 1", ">&-", "> /dev/full"])
def test_the_exit_code_survives_a_lost_stdout(redirect: str) -> None:
    program = (
        "import sys, time; from crossinit_batch.console.safe_stream import SafeStream; s = SafeStream(sys.stdout)\n"
        "for i in range(200): s.write('x' * 1000 + chr(10)); s.flush()\n"
        "print('late'); sys.exit(7)"
    )
    shell = f'"$0" -c "$1" {redirect}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", shell, sys.executable, program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 7
    assert done.stderr == ""
