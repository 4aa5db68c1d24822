"""Addresses of storage: which paths and URLs are supported, and the file system behind each.

Credentials come from the environment and the profiles that each provider's own tools use, never from a URL.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

from crossinit_batch.errors import RequestError
from crossinit_batch.messages import quoted, redact_url

# A URL's scheme → the package that reads it, and the extra of ours that brings it.
PACKAGES = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
    "az": ("adlfs", "azure"),
    "abfs": ("adlfs", "azure"),
    "abfss": ("adlfs", "azure"),
    "memory": ("fsspec", ""),
}

CONNECT_SECONDS = 5
READ_SECONDS = 30

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_CHAINED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*::|.*::.*://|.*://.*::")
_NAMED_CONTAINERS = frozenset({"az", "abfs", "abfss"})


def is_chained(address: str) -> bool:
    """Whether an address is a chain of URLs, as `zip://a.png::https://host/b.zip`."""
    return _CHAINED.match(address) is not None


def scheme_of(address: str) -> str | None:
    """The scheme of a URL in lower case, None for a path."""
    found = _SCHEME.match(address)
    return found[1].lower() if found else None


def problem_of_url(url: str) -> str | None:
    """Why a URL is not supported, as a sentence without its secrets; None where it is."""
    scheme, rest = scheme_of(url) or "", url.split("//", 1)[1]
    authority = rest.split("/", 1)[0]
    if scheme in ("http", "https"):
        return f"{quoted(url)} is a web address: download it first, and give the file's path"
    if scheme not in (*PACKAGES, "file"):
        return f"{scheme}:// is not read here; there are file, {', '.join(PACKAGES)}"
    if ":" in authority or ("@" in authority and scheme not in _NAMED_CONTAINERS):
        return f"{quoted(url)} had credentials in it: keep them in the environment or in a profile"
    if re.search(r"\?[^/]*=", url):
        return f"{quoted(url)} had a query (?…=), which may hold a secret: give the URL without it"
    if scheme == "file":
        return f"{quoted(url)} has no absolute path: write file:///folder/name" if authority else None
    if not (authority or (scheme == "memory" and rest.strip("/"))) or set(authority) & set("*?["):
        return f"{quoted(url)} names no bucket: write {scheme}://bucket/path"
    if ".." in rest.split("/"):
        return f"{quoted(url)} has .. in it: write the path out"
    package, extra = PACKAGES[scheme]
    if importlib.util.find_spec(package) is None:
        return f"{scheme}:// needs a package: pip install 'crossinit-batch[{extra}]'"
    return None


def open_filesystem(address: str) -> tuple[Any, str]:
    """fsspec's file system of a path or URL, and the path within it; RequestError where it cannot be opened."""
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    if is_chained(address):
        raise RequestError(f"{quoted(address)} is a chain of URLs (::), which is not read here: give one path or URL")
    scheme = scheme_of(address)
    if scheme is None:
        return LocalFileSystem(), str(Path(address).absolute())
    if problem := problem_of_url(address):
        raise RequestError(problem)
    try:
        filesystem, path = fsspec.url_to_fs(address, **_client_options(scheme))
    except Exception as error:  # each storage's client has exceptions of its own kind
        raise RequestError(f"{redact_url(address)}: cannot be opened ({error})", credentials_hint(scheme)) from None
    if scheme in ("s3", "s3a"):
        filesystem.retries = 1  # retry.py does that, and reports it
    return filesystem, path


def credentials_hint(scheme: str) -> str:
    """Which environment variables and commands give the credentials of a storage."""
    if scheme in ("s3", "s3a"):
        return "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, to somebody who may use this bucket."
    if scheme in ("gs", "gcs"):
        return "Set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`."
    if scheme in _NAMED_CONTAINERS:
        return (
            "Set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or "
            "AZURE_STORAGE_SAS_TOKEN, to an account that may use this container."
        )
    return "Check who may read and write there."


def _client_options(scheme: str) -> dict[str, Any]:
    """Options for a storage's client: timeouts shorter than its own, and no cache of listings, which others change."""
    if scheme in ("s3", "s3a"):
        timeouts = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
        no_retries = {"retries": {"mode": "standard", "total_max_attempts": 1}}
        return {"use_listings_cache": False, "config_kwargs": timeouts | no_retries}
    if scheme in ("gs", "gcs"):
        return {"use_listings_cache": False, "requests_timeout": READ_SECONDS}
    if scheme in _NAMED_CONTAINERS:
        return {"use_listings_cache": False, "connection_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
    return {}
