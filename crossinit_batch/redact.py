"""Text that is safe to show: no credentials from URLs, no control characters for the terminal to obey."""

from __future__ import annotations

import re
import unicodedata

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{0,30}://"
_URL = re.compile(rf"{_SCHEME}(?:(?!{_SCHEME})\S)*")
_CHAIN = re.compile(rf"::(?={_SCHEME})")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]*\]|[^:@]*)(?::[0-9]*)?")
_CLOSING = "'\"`.,;:!?)]}>"

# In these, what stands before the @ is a container's name and no secret: abfs://container@account.host/path
_CONTAINER_SCHEMES = frozenset({"abfs", "abfss", "wasb", "wasbs"})

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def redact_url(url: str) -> str:
    """A URL (or fsspec chain of URLs) without user-info, query and fragment; any other path as it is."""
    return "::".join(_redact_one(link) for link in _CHAIN.split(url))


def redact_urls(text: str) -> str:
    """A sentence with every URL in it redacted; too much is dropped rather than too little."""
    return _URL.sub(_redact_match, text)


def visible(text: str) -> str:
    """The text with control characters, line breaks, bidi marks and lone surrogates escaped, as `\\x1b`."""
    return "".join(_escape(character) if _is_unsafe(character) else character for character in text)


def shown(text: str) -> str:
    """One line of foreign text, ready for a terminal or a log: redacted and visible."""
    return visible(redact_urls(text))


def shown_lines(text: str) -> list[str]:
    """Foreign text of several lines, each ready for a terminal or a log, blank lines left out."""
    lines = text.replace("\r\n", "\n").split("\n")
    return [shown(line.rstrip()) for line in lines if line.strip()]


def _redact_one(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    authority, tail = _split_authority(rest)
    user, at, host = authority.rpartition("@")
    if not at and not _HOST.fullmatch(host):
        # "key:sec/ret@bucket": a secret with a slash, as AWS makes them, ends the authority too early.
        _, _, after = tail.rpartition("@")
        host, tail = _split_authority(after) if "@" in tail else (host.partition(":")[0], tail)
    elif at and ":" not in user and scheme.lower() in _CONTAINER_SCHEMES:
        host = authority
    path = re.split(r"[?#]", tail, maxsplit=1)[0]
    return f"{scheme}://{host}{path}"


def _split_authority(text: str) -> tuple[str, str]:
    found = re.search(r"[/?#]", text)
    return (text[: found.start()], text[found.start() :]) if found else (text, "")


def _redact_match(match: re.Match[str]) -> str:
    text = match.group()
    url = text.rstrip(_CLOSING)
    return redact_url(url) + text[len(url) :]


def _is_unsafe(character: str) -> bool:
    return character in _BIDI or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
