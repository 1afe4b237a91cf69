"""Faults that a server between us and a model can have, one for each request in turn."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = (
    *("429", "429 wait", "500", "503", "408", "hang", "truncated", "half", "slow", "reset"),
    *("html", "error in 200", "no choices", "not an object", "empty"),
)
WAIT = 0.3  # seconds that "429 wait" asks for

Answer = tuple[int, Any]  # status, reply
Respond = Callable[[str, dict[str, Any], dict[str, str]], Answer]


@dataclass
class Server:
    """A server in a thread of its own.

    Attributes:
        url: Its address, with ``/v1``.
        respond: What it answers to a path, a body and headers.
        faults: Faults of the next requests, first come first served.
        always: A fault of every request; empty for none.
        seen: Bodies of all requests with their paths, as they came.
        headers: The headers of the last request.
        most_at_once: Most requests that were under way together.
    """

    url: str
    respond: Respond
    faults: list[str] = field(default_factory=list)
    always: str = ""
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    most_at_once: int = 0
    under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    def bodies(self, path: str = "/chat/completions") -> list[dict[str, Any]]:
        """Bodies of the requests to a path."""
        return [body for seen, body in self.seen if seen == path]


class Handler(BaseHTTPRequestHandler):
    """Reads a request, and answers with a fault or with what the server responds."""

    server: _Listening
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def _handle(self) -> None:
        ours = self.server.ours
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.removeprefix("/v1")
        form = "multipart" in self.headers.get("Content-Type", "")
        body = {"form": raw.decode()} if form else json.loads(raw or b"{}")
        with ours.lock:
            ours.seen.append((path, body))
            ours.headers = dict(self.headers.items())
            ours.under_way += 1
            ours.most_at_once = max(ours.most_at_once, ours.under_way)
            fault = ours.always or (ours.faults.pop(0) if ours.faults and raw else "")
        try:
            self._answer(fault, path, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # whoever asked did not wait
        finally:
            with ours.lock:
                ours.under_way -= 1

    def _answer(self, fault: str, path: str, body: dict[str, Any]) -> None:
        ours = self.server.ours
        if fault == "hang":
            ours.over.wait(30)
            self.close_connection = True
            return
        if fault == "reset":
            # closing with unsent data thrown away sends a reset instead of a proper end
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        if fault[:3].isdigit():
            wait = {"Retry-After": str(WAIT)} if fault.endswith("wait") else {}
            self._send(int(fault[:3]), b'{"error": {"message": "busy"}}', wait)
            return
        if fault.startswith("charset"):
            said = json.dumps(ours.respond(path, body, ours.headers)[1], ensure_ascii=False)
            kind = {"Content-Type": f"application/json; charset={fault.split()[1]}"}
            self._send(200, said.encode(), kind)
            return
        if fault.startswith("deep"):
            self._send(int(fault.split()[1]), b"[" * 200_000)
            return
        if fault == "html":
            self._send(200, b"<html><body>Bad gateway</body></html>")
            return
        status, reply = ours.respond(path, body, ours.headers)
        made_up = {
            "error in 200": {"error": {"message": "upstream is gone"}},
            "no choices": {"id": "x", "choices": []},
            "not an object": [1, 2],
        }
        whole = json.dumps(made_up.get(fault, reply)).encode()
        if fault == "truncated":  # a proper reply that holds half of the JSON
            whole = whole[: len(whole) // 2]
        if fault == "empty":
            whole = b""
        if fault == "half":  # a connection that ends before the length it promised
            self._send(status, whole[: len(whole) // 2], length=len(whole))
            self.close_connection = True
        elif fault == "slow":  # each byte comes in time, the whole never
            self._send(status, b"", length=len(whole))
            for byte in whole:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                if ours.over.wait(0.1):
                    break
            self.close_connection = True
        else:
            self._send(status, whole)

    def _send(
        self, status: int, content: bytes, more: dict[str, str] | None = None, length: int = -1
    ) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(content) if length < 0 else length),
            **(more or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    ours: Server

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def serving(respond: Respond) -> Iterator[Server]:
    """A server until the end of the block."""
    listening = _Listening(("127.0.0.1", 0), Handler)
    listening.ours = Server(f"http://127.0.0.1:{listening.server_port}/v1", respond)
    thread = threading.Thread(target=lambda: listening.serve_forever(poll_interval=0.01))
    thread.start()
    try:
        yield listening.ours
    finally:
        listening.ours.over.set()
        listening.shutdown()
        thread.join()
        listening.server_close()
