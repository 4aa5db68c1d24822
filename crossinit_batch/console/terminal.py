"""What commands print: standard output that may have gone away, and errors as sentences."""

from __future__ import annotations

import sys
from typing import TextIO, cast


def out() -> TextIO:
    """Standard output; once nobody listens, what is written is dropped, and the exit code stands."""
    from crossinit_batch.console.safe_stream import SafeStream

    return cast("TextIO", SafeStream(sys.stdout))


def tell(line: object) -> None:
    """Print a line."""
    out().write(f"{line}\n")


def say(message: str) -> None:
    """Print an error for people, with no credentials and no control characters in it."""
    from crossinit_batch.messages import printable_lines, redact_urls

    for line in printable_lines(redact_urls(message)):
        print(line, file=sys.stderr)
