"""What commands print: results on standard output, whose reader may have gone, and errors as sentences."""

from __future__ import annotations

import sys
from typing import TextIO, cast


def out() -> TextIO:
    """Standard output; after a write error, output is dropped and the exit code does not change."""
    from crossinit_batch.console.safe_stream import SafeStream

    return cast("TextIO", SafeStream(sys.stdout))


def tell(line: object) -> None:
    """Print a line."""
    out().write(f"{line}\n")


def say(message: str) -> None:
    """Print an error message, with credentials and control characters removed."""
    from crossinit_batch.messages import printable_lines, redact_urls

    for line in printable_lines(redact_urls(message)):
        print(line, file=sys.stderr)
