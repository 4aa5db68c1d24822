"""Errors of a storage, classified: whether a retry may help, what the user can do, whether other files are affected."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from enum import Enum

from crossinit_batch.messages import redact_urls
from crossinit_batch.storage.addresses import credentials_hint


class Kind(Enum):
    """The kind of an error."""

    PASSING = "passing"
    """Transient, a retry may succeed: a busy or overloaded server, a lost connection."""
    REFUSED = "refused"
    """Credentials are missing, wrong or expired."""
    NO_BUCKET = "no bucket"
    FULL = "full"
    """No space or quota is left, or the disk has become read-only."""
    OTHER = "other"
    """Permanent, and of this file alone as far as is known."""


class StorageFailure(OSError):
    """An error of a storage: `strerror` is the reason, `filename` the path or URL, `hint` what the user can do."""

    def __init__(self, reason: str, path: str, kind: Kind, hint: str = "") -> None:
        super().__init__(errno.EIO, reason, path)
        self.kind, self.hint = kind, hint


class UnfitFile(OSError):
    """A file that is not opened or read: a link, a pipe, one that is too large; `strerror` is the rest of a sentence
    that begins with `filename`, `hint` what the user can do."""

    def __init__(self, problem: str, path: str, hint: str = "") -> None:
        super().__init__(errno.EINVAL, problem, path)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.filename} {self.strerror}"

    def __reduce__(self) -> tuple[type[UnfitFile], tuple[str, str, str]]:
        return UnfitFile, (str(self.strerror), str(self.filename), self.hint)


_PASSING_ERRNOS = frozenset(
    getattr(errno, name, errno.EIO)
    for name in (
        *("EBUSY", "EIO", "EREMOTEIO", "ESTALE", "EAGAIN", "EINTR", "ETIMEDOUT", "EPIPE"),
        *("ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN"),
    )
)
_PASSING_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "NoSuchContainer"})

_REFUSED_CODES = frozenset(
    {
        *("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled"),
        *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidToken", "TokenRefreshRequired"),
    }
)

# Exceptions of the clients by class name, since a client may not be installed.
_PASSING_NAMES = frozenset(
    {
        *("HTTPClientError", "ConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "IncompleteRead"),
        *("ResponseParserError", "ResponseStreamingError", "IncompleteReadError"),  # botocore
        *("ClientPayloadError", "ClientConnectionError", "ServerDisconnectedError"),  # aiohttp
        *("ServiceRequestError", "ServiceResponseError", "IncompleteReadError"),  # azure
        *("TransportError", "FSTimeoutError"),
    }
)
_REFUSED_NAMES = frozenset(
    {
        *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"),
        *("TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError"),
        *("ClientAuthenticationError", "CredentialUnavailableError"),
        *("DefaultCredentialsError", "RefreshError"),
    }
)


def storage_failure(error: Exception, path: str, scheme: str | None) -> StorageFailure:
    """An error of a storage's client, classified; `scheme` is None for a local disk, `path` is shown to the user."""
    kind = kind_of(error, scheme)
    if kind is Kind.REFUSED:
        reason = "the credentials have expired" if _expired(error) else "access was denied"
        return StorageFailure(reason, path, kind, credentials_hint(scheme or ""))
    if kind is Kind.NO_BUCKET:
        return StorageFailure("there is no such bucket", path, kind, "Make it, or name another one.")
    if kind is Kind.FULL:
        return StorageFailure(reason_of(error), path, kind, "Free some space, or make it writable again.")
    return StorageFailure(_connection_failure(error) or reason_of(error), path, kind)


def kind_of(error: Exception, scheme: str | None = None) -> Kind:
    """The kind of an error, by its errno, HTTP status, error code and the names of its classes."""
    if isinstance(error, StorageFailure):
        return error.kind
    if any(_code(cause) in _NO_BUCKET for cause in _chain(error)):
        return Kind.NO_BUCKET
    number = error.errno if isinstance(error, OSError) else None
    if number in _FULL_ERRNOS:
        return Kind.FULL
    remote = scheme is not None
    if remote and any(_is_refusal(cause) for cause in _chain(error)):
        return Kind.REFUSED
    if number in _PASSING_ERRNOS or isinstance(error, TimeoutError | ConnectionError):
        return Kind.PASSING
    if remote and any(_is_passing(cause) for cause in _chain(error)):
        return Kind.PASSING
    return Kind.OTHER


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an error of botocore, azure or gcsfs, or of its cause; None where there is none."""
    return next((status for cause in _chain(error) if (status := _status(cause)) is not None), None)


def reason_of(error: BaseException) -> str:
    """The message of an error without its path, errno and secrets; its class name where it has no message."""
    if isinstance(error, StorageFailure):
        return str(error.strerror)
    if isinstance(error, UnfitFile):
        return f"it {error.strerror}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = redact_urls(" ".join(str(error).split()))
    return text[:200] or type(error).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes."""
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _is_refusal(error: BaseException) -> bool:
    return (
        isinstance(error, PermissionError)
        or _status(error) in (401, 403)
        or _code(error) in _REFUSED_CODES
        or bool(_names(error) & _REFUSED_NAMES)
    )


def _is_passing(error: BaseException) -> bool:
    return (
        isinstance(error, TimeoutError | ConnectionError)
        or _status(error) in _PASSING_STATUS
        or bool(_names(error) & _PASSING_NAMES)
    )


def _connection_failure(error: BaseException) -> str:
    """A failure of the connection in fewer words than its client's, which repeat the URL; "" for other errors."""
    names = {name for cause in _chain(error) for name in _names(cause)}
    if names & {"ReadTimeoutError", "ConnectTimeoutError", "FSTimeoutError", "TimeoutError"}:
        return "the server did not answer in time"
    if names & {"EndpointConnectionError", "ConnectionClosedError", "ClientConnectionError", "ServiceRequestError"}:
        return "the connection to the server failed"
    return ""


def _expired(error: BaseException) -> bool:
    return any("expired" in f"{_code(cause)} {cause}".lower() for cause in _chain(error))


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _code(error: BaseException) -> str:
    """The storage's own error code: botocore's, then azure's."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", ""))
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(error, "status_code", None) or getattr(error, "code", None) or getattr(error, "status", None)
    return int(status) if isinstance(status, int | str) and str(status).isdigit() else None
