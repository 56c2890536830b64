"""The part of a hub that takes uploads, on loopback: check a card, make a repository, commit.

The URL layout is the real one's for files that are sent whole (``HF_HUB_DISABLE_XET=1``). Its
card check is this file's own and far smaller than the hub's.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import yaml

_REPO = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass
class Uploads:
    """What arrived; ``refuse`` is the status of every answer to an upload, 0 for none."""

    refuse: int = 0
    url: str = ""
    created: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    cards: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    held: ClassVar[Uploads]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        if path == "/api/validate-yaml":
            self._card(json.loads(body)["content"])
            return
        self.held.tokens.add(self.headers.get("authorization") or "")
        if self.held.refuse:
            self._send(self.held.refuse, {"error": "no"})
        elif path == "/api/repos/create":
            self.held.created.append(json.loads(body))
            self._send(200, {"url": f"{self.held.url}/owner/name", "name": "owner/name"})
        elif "/preupload/" in path:
            asked = json.loads(body)["files"]
            whole = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked
            ]
            self._send(200, {"files": whole})
        else:
            for line in body.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    data = base64.b64decode(entry["value"]["content"])
                    self.held.files[entry["value"]["path"]] = data
            self._send(
                200, {"commitUrl": f"{self.held.url}/owner/name/commit/c0", "commitOid": "c0"}
            )

    def do_GET(self) -> None:
        self._send(404, {"error": "not found"})

    do_HEAD = do_GET

    def log_message(self, *_: Any) -> None:
        pass

    def _card(self, text: str) -> None:
        self.held.cards.append(text)
        front = yaml.safe_load(text.split("---")[1])
        for key in ("base_model", "datasets"):
            named = front.get(key) or []
            for one in [named] if isinstance(named, str) else named:
                if not _REPO.fullmatch(one):
                    self._send(400, {"error": f"{key}: {one}"})
                    return
        self._send(200, {"errors": [], "warnings": []})

    def _send(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@contextmanager
def take_uploads() -> Iterator[Uploads]:
    """A hub that takes uploads until the block ends."""
    held = Uploads()
    handler = type("Handler", (_Handler,), {"held": held})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    held.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
