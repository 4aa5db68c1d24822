"""An HTTP proxy in front of a storage server that spoils some answers, as networks and loaded servers do."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_ERRORS = {
    "500": (500, "InternalError"),
    "503": (503, "SlowDown"),
    "403": (403, "AccessDenied"),
    "expired": (400, "ExpiredToken"),
}


@dataclass
class _Fault:
    kind: str
    method: str
    left: int


class FaultProxy:
    """Passes requests on to `upstream`, except those that it was told to spoil; counts them by method."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self.requests: Counter[str] = Counter()
        self.spoiled = 0
        self.hang_seconds = 3.0
        self.ignore_conditions = False
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def spoil(self, kind: str, times: int = 1, method: str = "") -> None:
        """Spoil the next requests (of a method): an error of `_ERRORS`, or

        reset: the connection is cut unanswered; lost: it is cut when the request has been done;
        cut: half of the answer comes; hang: nothing comes for `hang_seconds`; slow: the answer comes in drops.
        """
        self._faults.append(_Fault(kind, method, times))

    def mend(self) -> None:
        self._faults.clear()

    @contextmanager
    def running(self) -> Iterator[FaultProxy]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(timeout=10)

    def take_fault(self, method: str) -> str:
        """What is to go wrong with this request, "" for nothing."""
        with self._lock:
            self.requests[method] += 1
            for fault in self._faults:
                if fault.left and fault.method in ("", method):
                    fault.left -= 1
                    self.spoiled += 1
                    return fault.kind
        return ""

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """The server's own answer."""
        if self.ignore_conditions:
            headers = {name: value for name, value in headers.items() if name.lower() != "if-none-match"}
        assert self.upstream.hostname is not None
        connection = http.client.HTTPConnection(self.upstream.hostname, self.upstream.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_arguments: Any) -> None:
                pass

            def _serve(self) -> None:
                fault = proxy.take_fault(self.command)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if fault == "hang":
                    time.sleep(proxy.hang_seconds)
                if fault in ("reset", "hang"):
                    self._cut()
                elif fault in _ERRORS:
                    status, code = _ERRORS[fault]
                    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
                    empty = self.command == "HEAD"
                    self._answer(status, {"Content-Type": "application/xml"}, b"" if empty else text.encode(), "")
                else:
                    answer = proxy.ask(self.command, self.path, body, dict(self.headers.items()))
                    if fault == "lost":
                        self._cut()
                    else:
                        self._answer(*answer, fault)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

            def _answer(self, status: int, headers: dict[str, str], body: bytes, fault: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                        self.send_header(name, value)
                length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
                self.send_header("Content-Length", length)
                self.end_headers()
                if fault == "cut":
                    self.wfile.write(body[: len(body) // 2])
                    self.wfile.flush()
                    self._cut()
                elif fault == "slow":
                    for start in range(0, len(body), max(1, len(body) // 4)):
                        self.wfile.write(body[start : start + max(1, len(body) // 4)])
                        self.wfile.flush()
                        time.sleep(0.1)
                else:
                    self.wfile.write(body)

            def _cut(self) -> None:
                """Close with a reset instead of a farewell."""
                self.close_connection = True
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

        return Handler
