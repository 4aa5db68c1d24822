"""A text stream whose errors never stop a run."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TextIO


class SafeStream:
    """A stream around another that never raises.

    Characters that its encoding lacks are escaped. After the first error (`| head`, a full disk, a closed or absent
    stdout) all output is dropped, and the descriptor is redirected to the null device, so that Python's own flush at
    exit does not fail and change the exit code.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:
        """The encoding of the stream, UTF-8 where it has none."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write the text, or drop it after an error; returns its length in both cases."""
        if self._stream is not None:
            try:
                self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
            except BlockingIOError:
                return len(text)  # a terminal whose buffer is full: this text is lost, the next may be written
            except (OSError, ValueError):
                self._give_up()
        return len(text)

    def flush(self) -> None:
        """Pass everything written to the operating system."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except BlockingIOError:
                return
            except (OSError, ValueError):
                self._give_up()

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        """The descriptor; an OSError where there is none, as for any stream in memory."""
        if self._stream is None:
            raise OSError("the stream is gone")
        return self._stream.fileno()

    @property
    def is_live(self) -> bool:
        """Whether lines can be redrawn: a terminal that is not dumb."""
        term = os.environ.get("TERM", "" if os.name == "posix" else "windows").lower()
        return self.isatty() and term not in {"", "dumb", "unknown"}

    def _give_up(self) -> None:
        stream, self._stream = self._stream, None
        # Streams in memory and closed streams have no descriptor; then there is nothing to flush later.
        with suppress(OSError, ValueError, AttributeError):
            if stream is not None:
                descriptor = stream.fileno()
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
