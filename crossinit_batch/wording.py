"""The wording of messages: values as they are shown, words that were meant, pydantic's complaints in ours."""

from __future__ import annotations

import difflib
from functools import lru_cache

from pydantic_core import ErrorDetails

from crossinit_batch.redact import redact_urls

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


def shown(text: str) -> str:
    """A value as messages show it: quoted, without credentials, and a long one without its middle.

    The end stays, since of a path that is the file's name.
    """
    text = redact_urls(text[:2000])
    return repr(text) if len(text) <= 100 else repr(f"{text[:40]}…{text[-56:]}")


@lru_cache(maxsize=1024)
def suggestion(word: str, known: tuple[str, ...]) -> str | None:
    """The known word that was probably meant."""
    if len(word) > 64:
        return None
    return next(iter(difflib.get_close_matches(word.lower(), known, n=1)), None)


def unknown(word: str, known: tuple[str, ...], kind: str) -> str:
    """The message for a word that is not among the known ones."""
    meant = suggestion(word, known)
    advice = f"did you mean {meant}?" if meant else "there are " + ", ".join(known)
    return f"unknown {kind} {shown(word)}: {advice}"


def complaint(detail: ErrorDetails, instead: str) -> str:
    """A complaint of pydantic in our words; `instead` says what was found."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        options = tuple(word.strip("' ") for word in context["expected"].replace(" or ", ", ").split(","))
        meant = suggestion(str(detail["input"]), options)
        choice = ", ".join(options) if len(options) == 1 else f"one of {', '.join(options)}"
        return f"expected {choice}, found {instead}" + (f": did you mean {meant}?" if meant else "")
    if kind == "too_short" and detail["input"] in ([], ()):
        return "the list is empty"
    words = _COMPLAINTS.get(kind)
    return f"{words.format(**context) if words else detail['msg']}, found {instead}"
