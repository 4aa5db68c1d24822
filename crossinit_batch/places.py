"""A place that a manifest names: `${VAR}` and ~ filled in, then an absolute path or a URL we can read."""

from __future__ import annotations

import importlib.util
import os
import re
import unicodedata
from pathlib import Path

from crossinit_batch.wording import shown

# A URL's scheme → the package that reads it, and the extra of ours that brings it.
_PACKAGES = {
    "s3": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
    "az": ("adlfs", "azure"),
    "abfs": ("adlfs", "azure"),
    "memory": ("fsspec", ""),
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_CHAINED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*::|.*::.*://|.*://.*::")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Refused(ValueError):
    """A path or name that cannot be used; the message says why."""


def location(text: str, folder: Path) -> str:
    """The absolute path or the URL that a manifest means; Refused when it cannot be used."""
    if "${" in _VARIABLE.sub("", text):
        raise Refused(f"{shown(text)} has ${{ without a variable's name and a closing }}")
    place = _VARIABLE.sub(_variable, text)
    if trouble := problem_of_text(place):
        raise Refused(f"{shown(text)}: {trouble}" if text != place else trouble)
    if _CHAINED.match(place):
        raise Refused(f"{shown(place)} is a chain of URLs (::), which is not read here: give one path or URL")
    if scheme := _SCHEME.match(place):
        return _url(place, scheme[1].lower())
    return local_path(place, folder)


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
    rest = url.split("//", 1)[1]
    authority = rest.split("/", 1)[0]
    if scheme in ("http", "https"):
        raise Refused(f"{shown(url)} is a web address: download it first, and give the file's path")
    if scheme not in (*_PACKAGES, "file"):
        raise Refused(f"{scheme}:// is not read here; there are file, {', '.join(_PACKAGES)}")
    if ":" in authority or ("@" in authority and scheme not in ("az", "abfs")):
        raise Refused(f"{shown(url)} had credentials in it: keep them in the environment or in a profile")
    if re.search(r"\?[^/]*=", url):
        raise Refused(f"{shown(url)} had a query (?…=), which may hold a secret: give the URL without it")
    if scheme == "file":
        if authority:
            raise Refused(f"{shown(url)} has no absolute path: write file:///folder/name")
        return os.path.normpath(rest)
    if not (authority or (scheme == "memory" and rest.strip("/"))) or set(authority) & set("*?["):
        raise Refused(f"{shown(url)} names no bucket: write {scheme}://bucket/path")
    if ".." in rest.split("/"):
        raise Refused(f"{shown(url)} has .. in it: write the path out")
    package, extra = _PACKAGES[scheme]
    if importlib.util.find_spec(package) is None:
        raise Refused(f"{scheme}:// needs a package: pip install 'crossinit-batch[{extra}]'")
    return f"{scheme}://{rest.rstrip('/')}"
