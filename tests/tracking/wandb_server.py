"""A stand-in of W&B's API on this machine: it takes what the library sends, and answers as little as the library needs."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class WandbServer:
    """What it was sent.

    Attributes:
        upserts: Variables of each UpsertBucket, which makes a run or changes it.
        lines: Lines of each file of a run that is streamed, by name.
        artifacts: Input of each CreateArtifact.
        uploads: Paths of files that were put.
        views: Variables of each UpsertView, which makes a workspace's view or a report.
    """

    url: str = ""
    upserts: list[dict[str, Any]] = field(default_factory=list)
    lines: dict[str, list[str]] = field(default_factory=dict)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the history, without W&B's own columns."""
        rows = [json.loads(line) for line in self.lines.get("wandb-history.jsonl", [])]
        return [{key: value for key, value in row.items() if not key.startswith("_")} for row in rows]

    def summary(self) -> dict[str, Any]:
        """The last summary."""
        return json.loads(self.lines["wandb-summary.json"][-1])

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """What the library wants to know."""
        if "upsertBucket" in query:
            self.upserts.append(variables)
            entity = {"id": "entity", "name": "tester"}
            project = {"id": "project", "name": variables.get("project") or "tests", "entity": entity}
            bucket = {"id": "bucket", "name": variables["name"], "displayName": variables["name"], "project": project}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if "createArtifact(" in query:
            self.artifacts.append(variables["input"])
            sequence = {"id": "sequence", "latestArtifact": {"id": "artifact", "versionIndex": 0}}
            artifact = {"id": "artifact", "state": "COMMITTED", "artifactSequence": sequence}
            return {"createArtifact": {"artifact": artifact}}
        if "createRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.url}/put/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "bucket", "uploadHeaders": [], "files": files}}
        if "upsertView" in query:
            self.views.append(variables)
            view = {"id": "VmlldzoxMjM=", "name": variables["name"], "displayName": variables["displayName"]}
            return {"upsertView": {"view": {**view, "type": variables.get("type")}, "inserted": True}}
        if "viewer" in query:
            flags = json.dumps({})
            return {"viewer": {"id": "user", "username": "tester", "entity": "tester", "flags": flags, "teams": None}}
        if "models(" in query:
            return {"models": {"edges": [], "pageInfo": {"endCursor": None, "hasNextPage": False}}}
        if "project(" in query:
            return {
                "project": {
                    "id": "project",
                    "internalId": "UHJvamVjdEludGVybmFsSWQ6MQ==",
                    "name": "tests",
                    "artifact": None,
                }
            }
        return {"serverInfo": {"features": []}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    taker: WandbServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._reply({})

    def do_PUT(self) -> None:
        self._body()
        self.taker.uploads.append(self.path)
        self._reply({})

    def do_POST(self) -> None:
        body = self._body()
        if not self.path.endswith(("/graphql", "/file_stream")):
            self._reply({})
            return
        said = json.loads(body)
        if self.path.endswith("/graphql"):
            self._reply({"data": self.taker.answer(said["query"], said.get("variables") or {})})
            return
        for name, part in (said.get("files") or {}).items():
            self.taker.lines.setdefault(name, []).extend(part["content"])
        self._reply({})

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _reply(self, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(patch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    """Let W&B speak to the stand-in, logged in."""
    taker = WandbServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"taker": taker}))
    taker.url = f"http://127.0.0.1:{server.server_address[1]}"
    patch.setenv("WANDB_BASE_URL", taker.url)
    patch.setenv("WANDB_API_KEY", "0" * 40)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield taker
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
