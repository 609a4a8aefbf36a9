from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict, config
from datasets.exceptions import DatasetsError
from huggingface_hub import constants

from prune_cli.data import hub
from prune_cli.data.hub import Hub
from prune_cli.errors import UserError
from prune_cli.network import PROBE_TIMEOUT, probe

REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
RECORDS = {"sentence1": ["a", "c"], "sentence2": ["b", "d"], "label": [1, 0], "idx": [0, 1]}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, a hub that is on line as far as the environment goes, and no token."""
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return tmp_path


@pytest.fixture
def server():
    """A hub on this machine; `answers` lists the status of each answer to come, `asked` what was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, self.headers.get("Authorization")))  # pyright: ignore
            self.send_response(server.answers.pop(0))  # pyright: ignore
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.answers, server.asked = [], []  # pyright: ignore
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fill_cache(cache: Path, split: str, shard: str = "", revision: str = REVISION) -> None:
    """Write what `load_dataset` leaves behind."""
    folder = cache / "nyu-mll___glue" / "mrpc" / "0.0.0" / revision
    folder.mkdir(parents=True, exist_ok=True)
    table = Dataset.from_dict(RECORDS).data.table
    with (
        pa.OSFile(str(folder / f"glue-{split}{shard}.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as out,
    ):
        out.write_table(table)


def test_unreachable_hub_is_refused_within_seconds(glue_task):
    assert PROBE_TIMEOUT <= 5
    (problem,) = Hub().missing(glue_task("mrpc"))
    assert f"nyu-mll/glue (mrpc) at revision {REVISION} cannot be loaded from the hub" in problem
    assert "does not answer (" in problem
    for remedy in ("data=local data.path=DIR", "data=synthetic", "HF_HUB_OFFLINE=1"):
        assert remedy in problem


def test_hub_that_never_answers_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        assert "does not answer (" in (probe(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.2) or "")


def test_hub_that_answers(glue_task, server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", "hf_abc")
    server.answers = [200, 404]
    assert Hub().missing(glue_task("mrpc")) == []
    assert server.asked == [(f"/api/datasets/nyu-mll/glue/revision/{REVISION}", "Bearer hf_abc")]
    (problem,) = Hub().missing(glue_task("mrpc"))
    assert "answers 404 Not Found" in problem
    assert "hf_abc" not in problem


def test_offline_without_a_cache(glue_task, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "probe", None)  # must not be tried
    (problem,) = Hub().missing(glue_task("mrpc"))
    assert "HF_HUB_OFFLINE is set" in problem
    assert "is not in the cache" in problem


def test_cache_needs_no_hub(glue_task, empty_cache: Path, monkeypatch: pytest.MonkeyPatch):
    fill_cache(empty_cache, "validation", "-00000-of-00002")
    fill_cache(empty_cache, "validation", "-00001-of-00002")
    assert Hub().missing(glue_task("mrpc")) != []  # half of it is no cache
    fill_cache(empty_cache, "train")
    monkeypatch.setattr(hub, "_download", None)
    assert Hub().missing(glue_task("mrpc")) == []
    _, splits = Hub().load(glue_task("mrpc"))
    assert splits["train"].to_dict() == {"sentence1": ["a", "c"], "sentence2": ["b", "d"], "label": [1, 0]}
    assert splits["validation"]["label"][:] == [1, 0, 1, 0]


def test_cache_of_another_revision_is_not_taken(glue_task, empty_cache: Path):
    for split in ("train", "validation"):
        fill_cache(empty_cache, split, revision="0" * 40)
    assert Hub().missing(glue_task("mrpc")) != []


def test_download(glue_task, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def load_dataset(path: str, name: str, revision: str) -> DatasetDict:
        asked.append((path, name, revision))
        hidden = Dataset.from_dict({**RECORDS, "label": [-1, -1]})
        shown = Dataset.from_dict(RECORDS)
        return DatasetDict({"train": shown, "validation": shown, "test": hidden})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    _, splits = Hub().load(glue_task("mrpc"))
    assert asked == [("nyu-mll/glue", "mrpc", REVISION)]
    assert set(splits) == {"train", "validation"}
    with pytest.raises(UserError, match="has no split validation_matched, validation_mismatched; there are: train, val"):
        Hub().load(glue_task("mnli"))
    with pytest.raises(UserError, match="nyu-mll/glue test, record 1: `label` is -1, a hidden label"):
        Hub().load(glue_task("mrpc", evaluation_splits=["test"]))


@pytest.mark.parametrize("error", [ConnectionError("gone"), ValueError("gone"), DatasetsError("gone")])
def test_download_that_fails(glue_task, monkeypatch: pytest.MonkeyPatch, error: Exception):
    def load_dataset(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(UserError, match=r"cannot be read: gone\. Use data=local data\.path=DIR"):
        Hub().load(glue_task("mrpc"))


def test_identity_is_the_revision(glue_task):
    assert Hub().identity(glue_task("mrpc")) == f"hub:nyu-mll/glue/mrpc@{REVISION}"
