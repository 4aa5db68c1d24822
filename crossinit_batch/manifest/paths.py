"""A path or URL that a manifest names: `${VAR}` and ~ filled in, then an absolute path or a URL we can read."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from crossinit_batch.messages import quoted
from crossinit_batch.storage.addresses import is_chained, problem_of_url, scheme_of

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Refused(ValueError):
    """A path or name that cannot be used; the message says why."""


def location(text: str, folder: Path) -> str:
    """The absolute path or the URL that a manifest means; Refused when it cannot be used."""
    if "${" in _VARIABLE.sub("", text):
        raise Refused(f"{quoted(text)} has ${{ without a variable's name and a closing }}")
    path = _VARIABLE.sub(_variable, text)
    if trouble := problem_of_text(path):
        raise Refused(f"{quoted(text)}: {trouble}" if text != path else trouble)
    if is_chained(path):
        raise Refused(f"{quoted(path)} is a chain of URLs (::), which is not read here: give one path or URL")
    if scheme := scheme_of(path):
        return _url(path, scheme)
    return local_path(path, folder)


def local_path(text: str, folder: Path) -> str:
    """The absolute path of a text relative to a folder, ~/ being the user's home."""
    return os.path.normpath(folder / _home(text))


def problem_of_text(text: str) -> str | None:
    """Why no path or name can be this text, or None."""
    if not text.strip():
        return "it is empty"
    if not text.isprintable() and any(unicodedata.category(one) in ("Cc", "Cs") for one in text):
        return "it has a control character or a byte that is not UTF-8"
    return None


def _variable(match: re.Match[str]) -> str:
    if match[1] not in os.environ:
        raise Refused(f"the environment has no variable {match[1]}: set it, or write the path out")
    return os.environ[match[1]]


def _home(path: str) -> str:
    try:
        return str(Path(path).expanduser()) if path.startswith("~/") else path
    except RuntimeError:  # a user without a home folder
        return path


def _url(url: str, scheme: str) -> str:
    """A URL that may be used, its scheme in lower case; a file: URL as the path it means."""
    if problem := problem_of_url(url):
        raise Refused(problem)
    rest = url.split("//", 1)[1]
    return os.path.normpath(rest) if scheme == "file" else f"{scheme}://{rest.rstrip('/')}"
