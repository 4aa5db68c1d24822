"""A text stream that never stops a run: progress is worth less than the work it is about."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TextIO


class SafeStream:
    """A stream around another that never raises.

    What its encoding lacks is written as an escape. Once the other side is gone (`| head`, a full disk, a
    closed or absent stdout) everything is dropped, and the descriptor leads nowhere, so that Python's own
    flush at the end does not fail and change the exit code.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:
        """The encoding of the stream, UTF-8 where it has none."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write the text if anybody still listens; always its length."""
        if self._stream is not None:
            try:
                self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
            except BlockingIOError:
                return len(text)  # a terminal that is full for a moment: this line is lost, the next may pass
            except (OSError, ValueError):
                self._give_up()
        return len(text)

    def flush(self) -> None:
        """Hand everything to the operating system."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except BlockingIOError:
                return
            except (OSError, ValueError):
                self._give_up()

    def isatty(self) -> bool:
        """Whether a person's terminal listens."""
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
        """Whether lines can be drawn over again: a terminal that is not dumb."""
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
