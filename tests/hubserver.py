"""A small hub on loopback, in the real one's URL layout: data sets and models, and its faults.

What ``huggingface_hub`` 2.4 and ``datasets`` 5.2 ask for: ``/api/{datasets|models}/ID`` with
``/revision/REV``, ``/tree/REV``, ``/paths-info/REV``; ``/[datasets/]ID/resolve/REV/FILE`` with
ranges, etag and commit headers. Point ``HF_ENDPOINT`` at ``Hub.url`` in a fresh process.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34

_API = re.compile(r"/api/(datasets|models)/(?P<id>[^/]+/[^/]+)(?P<rest>/.*)?")
_FILE = re.compile(r"/(?P<kind>datasets/)?(?P<id>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)")


@dataclass
class Hub:
    """What the server holds and how it behaves; change ``fault`` at any time."""

    datasets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    models: dict[str, dict[str, bytes]] = field(default_factory=dict)
    fault: str = ""
    """"", slow, status:CODE, gated, half, stall, junk or redirect:URL; ``files-`` before it: only
    where files are fetched, the API answers."""
    delay: float = 0.0
    """Seconds before each answer where the fault is slow or stall."""
    after: int = 0
    """Bytes of a file that come before ``half`` and ``stall`` set in."""
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def files(self, kind: str, name: str) -> dict[str, bytes] | None:
        return (self.datasets if kind.startswith("datasets") else self.models).get(name)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ClassVar[Hub]

    def do_GET(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.body = self.rfile.read(length)
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        if (file := _FILE.fullmatch(path)) and not path.startswith("/api/"):
            if not self._spoiled(self.hub.fault.removeprefix("files-")):
                self._file(file)
        elif not self._spoiled("" if self.hub.fault.startswith("files-") else self.hub.fault):
            api = _API.fullmatch(path)
            self._api(api) if api else self._missing("EntryNotFound")

    do_HEAD = do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass

    # faults

    def _spoiled(self, fault: str) -> bool:
        """Whether the answer was the fault."""
        kind, _, detail = fault.partition(":")
        if kind in ("slow", "stall") and not (kind == "stall" and self.hub.after):
            time.sleep(self.hub.delay)
            return False
        if kind == "status":
            self._send(int(detail), b'{"error": "no \\u001b[31m for you"}')
        elif kind == "gated":
            self._send(403, b'{"error": "gated"}', {"X-Error-Code": "GatedRepo"})
        elif kind == "junk":
            self._send(200, b"<html>{not json", {"Content-Type": "application/json"})
        elif kind == "redirect":
            self._send(302, b"", {"Location": detail + self.path})
        else:
            return False
        return True

    # answers

    def _api(self, found: re.Match[str]) -> None:
        files = self.hub.files(found[1], found["id"])
        if files is None:
            self._missing("RepoNotFound")
            return
        rest = found["rest"] or ""
        if rest in ("", f"/revision/{COMMIT}", "/revision/main"):
            siblings = [{"rfilename": name} for name in files]
            info = {"id": found["id"], "sha": COMMIT, "siblings": siblings, "private": False}
            self._json({**info, "tags": [], "downloads": 0, "gated": False, "disabled": False})
        elif rest.startswith("/tree/"):
            self._tree(files, rest.removeprefix("/tree/").partition("/")[2])
        elif rest.startswith("/paths-info/"):
            wanted = json.loads(self.body)["paths"]
            self._json([_entry(name, files[name]) for name in wanted if name in files])
        else:
            self._missing("RevisionNotFound")

    def _tree(self, files: dict[str, bytes], folder: str) -> None:
        prefix = folder + "/" if folder else ""
        below = {name: data for name, data in files.items() if name.startswith(prefix)}
        if folder and not below:
            self._missing("EntryNotFound")
            return
        deep = "recursive=true" in self.path.lower()
        flat = {n: d for n, d in below.items() if deep or "/" not in n.removeprefix(prefix)}
        folders = {n.removeprefix(prefix).partition("/")[0] for n in set(below) - set(flat)}
        entries = [
            {"type": "directory", "oid": "0" * 40, "size": 0, "path": prefix + one}
            for one in sorted(folders)
        ]
        self._json([*entries, *(_entry(name, data) for name, data in flat.items())])

    def _file(self, found: re.Match[str]) -> None:
        files = self.hub.files(found["kind"] or "models", found["id"])
        data = None if files is None else files.get(found["path"])
        if data is None:
            self._missing("RepoNotFound" if files is None else "EntryNotFound")
            return
        headers = {"ETag": f'"{_etag(data)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        status, body = 200, data
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range") or ""):
            first, last = int(wanted[1]), int(wanted[2] or len(data) - 1)
            status, body = 206, data[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        self._send(status, body, headers)

    def _missing(self, code: str) -> None:
        self._send(404, b'{"error": "not found"}', {"X-Error-Code": code})

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        fault = self.hub.fault.removeprefix("files-")
        if fault in ("half", "stall") and len(body) > self.hub.after:
            self.wfile.write(body[: self.hub.after])
            self.wfile.flush()
            time.sleep(self.hub.delay if fault == "stall" else 0)
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(body)


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def _entry(name: str, data: bytes) -> dict[str, Any]:
    return {"type": "file", "oid": _etag(data), "size": len(data), "path": name}


@contextmanager
def serve(**content: Any) -> Iterator[Hub]:
    """A hub with these data sets and models, until the block ends."""
    hub = Hub(**content)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
