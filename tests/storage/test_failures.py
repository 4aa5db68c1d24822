from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from crossinit_batch.storage.failures import Kind, kind_of, reason_of, status_of, storage_failure


class ClientError(Exception):
    """As botocore's: everything is in `response`."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(f"An error occurred ({code})")
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


class HttpResponseError(Exception):
    """As azure's."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.error_code, self.status_code = code, status


class NoCredentialsError(Exception):
    """As botocore's, by its name."""


class ServerDisconnectedError(Exception):
    """As aiohttp's, by its name."""


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def number(name: str) -> OSError:
    return OSError(getattr(errno, name), os.strerror(getattr(errno, name)))


@pytest.mark.parametrize(
    ("error", "scheme", "kind"),
    [
        *((number(name), None, Kind.PASSING) for name in ("EBUSY", "EIO", "ESTALE", "ETIMEDOUT", "EAGAIN")),
        *((number(name), None, Kind.FULL) for name in ("ENOSPC", "EDQUOT", "EROFS")),
        *((number(name), None, Kind.OTHER) for name in ("EACCES", "EFBIG", "ENAMETOOLONG", "EISDIR")),
        (TimeoutError(), "s3", Kind.PASSING),
        (ConnectionResetError(), "gs", Kind.PASSING),
        (ServerDisconnectedError(), "az", Kind.PASSING),
        (number("EREMOTEIO"), "s3", Kind.PASSING),
        (caused(number("EINVAL"), ClientError("SlowDown", 503)), "s3", Kind.PASSING),
        (HttpResponseError("ServerBusy", 503), "az", Kind.PASSING),
        (HttpResponseError("TooManyRequests", 429), "gs", Kind.PASSING),
        (PermissionError("Forbidden"), "s3", Kind.REFUSED),
        (caused(OSError("x"), ClientError("ExpiredToken", 400)), "s3", Kind.REFUSED),
        (HttpResponseError("AuthenticationFailed", 403), "az", Kind.REFUSED),
        (NoCredentialsError("Unable to locate credentials"), "s3", Kind.REFUSED),
        (caused(FileNotFoundError("x"), ClientError("NoSuchBucket", 404)), "s3", Kind.NO_BUCKET),
        (HttpResponseError("ContainerNotFound", 404), "az", Kind.NO_BUCKET),
        (caused(FileNotFoundError("x"), ClientError("NoSuchKey", 404)), "s3", Kind.OTHER),
        (RuntimeError("something else"), "s3", Kind.OTHER),
    ],
)
def test_what_kind_of_trouble_an_error_is(error: Exception, scheme: str | None, kind: Kind) -> None:
    assert kind_of(error, scheme) is kind
    failure = storage_failure(error, "s3://b/x", scheme)
    assert failure.kind is kind and failure.strerror and failure.filename == "s3://b/x"
    assert storage_failure(failure, "elsewhere", scheme).kind is kind


@pytest.mark.parametrize(
    ("scheme", "variable"),
    [
        ("s3", "AWS_PROFILE"),
        ("gs", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("az", "AZURE_STORAGE_CONNECTION_STRING"),
        ("abfs", "AZURE_STORAGE_ACCOUNT_KEY"),
    ],
)
def test_a_refusal_says_what_to_set(scheme: str, variable: str) -> None:
    assert variable in storage_failure(PermissionError("no"), "x", scheme).hint
    expired = storage_failure(caused(OSError("x"), ClientError("ExpiredToken", 400)), "x", scheme)
    assert expired.strerror == "the credentials have expired"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/secret"), "no space left on device"),
        (ValueError("too short"), "too short"),
        (ValueError(), "ValueError"),
        (RuntimeError("no way to s3://key:hush@bucket/x?sig=hush"), "no way to s3://bucket/x"),
        (storage_failure(TimeoutError(), "x", "s3"), "the server did not answer in time"),
    ],
)
def test_reasons_are_words(error: Exception, words: str) -> None:
    assert reason_of(error) == words


@pytest.mark.parametrize("value", [None, "text", {"Error": {}}, object()])
def test_a_strange_answer_has_no_status(value: Any) -> None:
    error = RuntimeError("x")
    error.response = value  # type: ignore[attr-defined]
    assert status_of(error) is None and kind_of(error, "s3") is Kind.OTHER
