"""Text of messages: values quoted, printable, without credentials; suggestions; pydantic's errors.

Text from outside passes through here before a terminal, a log or a page shows it.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from functools import lru_cache

from pydantic_core import ErrorDetails

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{0,30}://"
_URL = re.compile(rf"{_SCHEME}(?:(?!{_SCHEME})\S)*")
_CHAIN = re.compile(rf"::(?={_SCHEME})")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]*\]|[^:@]*)(?::[0-9]*)?")
_CLOSING = "'\"`.,;:!?)]}>"

# In these, what precedes the @ is a container's name and no secret: abfs://container@account.host/path
_CONTAINER_SCHEMES = frozenset({"abfs", "abfss", "wasb", "wasbs"})

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_COMPLAINTS = {
    "int_parsing": "expected a whole number",
    "int_parsing_size": "expected a whole number of fewer digits",
    "int_from_float": "expected a whole number",
    "float_parsing": "expected a number",
    "bool_parsing": "expected true or false",
    "finite_number": "expected a finite number",
    "greater_than": "expected a number above {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than": "expected a number below {lt}",
    "less_than_equal": "expected at most {le}",
    "multiple_of": "expected a multiple of {multiple_of}",
    "string_too_short": "expected some text",
    "string_too_long": "expected at most {max_length} characters",
    "too_short": "expected at least {min_length} in the list",
    "too_long": "expected at most {max_length} in the list",
}


def quoted(text: str) -> str:
    """A value as messages show it: quoted, without credentials, and a long one without its middle.

    The end is kept, since of a path that is the file's name.
    """
    text = redact_urls(text[:2000])
    return repr(text) if len(text) <= 100 else repr(f"{text[:40]}…{text[-56:]}")


@lru_cache(maxsize=1024)
def did_you_mean(word: str, known: tuple[str, ...]) -> str | None:
    """The known word that was probably meant."""
    if len(word) > 64:
        return None
    return next(iter(difflib.get_close_matches(word.lower(), known, n=1)), None)


def unknown(word: str, known: tuple[str, ...], kind: str) -> str:
    """The message for a word that is not among the known ones."""
    meant = did_you_mean(word, known)
    advice = f"did you mean {meant}?" if meant else "there are " + ", ".join(known)
    return f"unknown {kind} {quoted(word)}: {advice}"


def complaint(detail: ErrorDetails, instead: str) -> str:
    """An error of pydantic as our message; `instead` says what was found."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        options = tuple(word.strip("' ") for word in context["expected"].replace(" or ", ", ").split(","))
        meant = did_you_mean(str(detail["input"]), options)
        choice = ", ".join(options) if len(options) == 1 else f"one of {', '.join(options)}"
        return f"expected {choice}, found {instead}" + (f": did you mean {meant}?" if meant else "")
    if kind == "too_short" and detail["input"] in ([], ()):
        return "the list is empty"
    words = _COMPLAINTS.get(kind)
    return f"{words.format(**context) if words else detail['msg']}, found {instead}"


def redact_url(url: str) -> str:
    """A URL (or fsspec chain of URLs) without user-info, query and fragment; any other path as it is."""
    return "::".join(_redact_one(link) for link in _CHAIN.split(url))


def redact_urls(text: str) -> str:
    """A sentence with every URL in it redacted; too much is dropped rather than too little."""
    return _URL.sub(_redact_match, text)


def visible(text: str) -> str:
    """The text with control characters, line breaks, bidi marks and lone surrogates escaped, as `\\x1b`."""
    return "".join(_escape(character) if _is_unsafe(character) else character for character in text)


def printable(text: str) -> str:
    """One line of foreign text, ready for a terminal or a log: redacted and visible."""
    return visible(redact_urls(text))


def printable_lines(text: str) -> list[str]:
    """Foreign text of several lines, each ready for a terminal or a log, blank lines left out."""
    lines = text.replace("\r\n", "\n").split("\n")
    return [printable(line.rstrip()) for line in lines if line.strip()]


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


def duration(seconds: float) -> str:
    """Seconds in their two largest units: 34 s, 12 min 3 s, 1 h 12 min, 3 d 4 h."""
    minutes, second = divmod(max(round(seconds), 0), 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    parts = [(day, "d"), (hour, "h"), (minute, "min"), (second, "s")]
    first = next((index for index, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{n} {unit}" for n, unit in parts[first : first + 2] if n) or "0 s"


def plural(noun: str) -> str:
    """image → images, identity → identities."""
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


def with_article(noun: str) -> str:
    """a picture, an embedding."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def count(number: int, noun: str) -> str:
    """1 image, 2 images, 2 identities."""
    return f"{number} {noun if number == 1 else plural(noun)}"
