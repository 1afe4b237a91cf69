"""A hub on loopback: what huggingface_hub asks of one when it makes, describes and fills a repo."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Hub:
    """What the hub was told, and what it answers.

    Attributes:
        address: Where it listens.
        repositories: Name to what the request to make it said.
        files: Path in a repository to its content, of the last commit.
        commits: Name of a repository, with a revision if one was asked for, to its commit.
        refuses: Status with which every upload is refused, if any.
        asked: Every path that was asked for.
    """

    address: str = ""
    repositories: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)
    refuses: int | None = None
    asked: list[str] = field(default_factory=list)


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """A hub for as long as the block lasts."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.asked.append(self.path)
            found = re.fullmatch(
                r"/api/(?:models|datasets)/([^/]+/[^/?]+)(?:/revision/([^?]+))?.*", self.path
            )
            name = found and "@".join(part for part in found.groups() if part)
            if name in hub.commits:
                self.answer(200, {"id": name.split("@")[0], "sha": hub.commits[name]})
            else:
                self.answer(404, {"error": "not found"}, **{"X-Error-Code": "RepoNotFound"})

        def do_POST(self) -> None:
            hub.asked.append(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if hub.refuses is not None:
                self.answer(hub.refuses, {"error": "no room"})
            elif self.path == "/api/repos/create":
                told = json.loads(body)
                name = f"{told['organization']}/{told['name']}"
                hub.repositories[name] = told
                self.answer(200, {"url": f"{hub.address}/{name}"})
            elif self.path.endswith("/preupload/main"):
                files = json.loads(body)["files"]
                modes = [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                    for f in files
                ]
                self.answer(200, {"files": modes})
            elif "/commit/main" in self.path:
                for line in body.decode().splitlines():
                    part = json.loads(line)
                    if part["key"] == "file":
                        value = part["value"]
                        hub.files[value["path"]] = base64.b64decode(value["content"])
                name = self.path.split("/api/models/")[1].split("/commit/")[0]
                url = f"{hub.address}/{name}/commit/{COMMIT}"
                self.answer(200, {"commitUrl": url, "commitOid": COMMIT, "success": True})
            else:  # metadata is found valid
                self.answer(200, {"errors": [], "warnings": []})

        def answer(self, status: int, value: dict[str, Any], **headers: str) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            for name, text in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
