"""A run as a repository, and what happens when the hub does not take it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from typer.testing import CliRunner

from prune_cli.cli.app import app
from prune_cli.errors import UserError
from tests.whole_runs import do


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return do(tmp_path_factory.mktemp("runs"), "sparsity=0.5", "trainer.max_steps=20", "schedule.final=1").folder


def _push(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["push", *map(str, arguments)])


def test_a_dry_run_writes_what_would_be_sent(run: Path, tmp_path: Path) -> None:
    done = _push(run, "somebody/mine", "--dry-run", "-o", tmp_path / "hub")
    assert done.exit_code == 0, done.output
    assert "what would go to somebody/mine" in done.output
    names = {path.name for path in (tmp_path / "hub").iterdir()}
    assert {"README.md", "model.safetensors", "config.json", "tokenizer.json", "result.json", "figures"} <= names
    card = (tmp_path / "hub" / "README.md").read_text()
    assert card.startswith("---\n")
    assert "![metric](figures/metric.png)" in card
    with safe_open(tmp_path / "hub" / "model.safetensors", "pt") as file:
        assert list(file.keys())
    result = json.loads((tmp_path / "hub" / "result.json").read_text())
    assert result["metric"] == json.loads((run / "result.json").read_text())["metric"]
    assert str(run.parent) not in (tmp_path / "hub" / "result.json").read_text()
    again = _push(run, "somebody/mine", "--dry-run", "-o", tmp_path / "hub")
    assert again.exit_code == 0, again.output
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").touch()
    refused = _push(run, "somebody/mine", "--dry-run", "-o", other)
    assert isinstance(refused.exception, UserError)
    assert "is there" in str(refused.exception)


def test_nothing_is_sent_but_what_the_run_wrote(run: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copytree(run, tmp_path / "mine"))
    shutil.rmtree(mine / "figures")
    (mine / "figures").symlink_to("/etc")
    (mine / "model" / "etc").symlink_to("/etc")
    (mine / "model" / "keys.txt").write_text("secret")
    (mine / "model" / "README.md").unlink()
    done = _push(mine, "somebody/mine", "--dry-run", "-o", tmp_path / "hub")
    assert done.exit_code == 0, done.output
    promised = {Path(name).name for name in json.loads((mine / "result.json").read_text())["promised"]}
    assert {path.name for path in (tmp_path / "hub").iterdir()} == (
        promised - {"history.jsonl", "predictions.jsonl"} | {"README.md", "result.json"}
    )
    assert "prune run task=" in (tmp_path / "hub" / "README.md").read_text()

    (tmp_path / "weights").write_bytes((mine / "model" / "model.safetensors").read_bytes())
    (mine / "model" / "model.safetensors").unlink()
    (mine / "model" / "model.safetensors").symlink_to(tmp_path / "weights")
    refused = _push(mine, "somebody/mine", "--dry-run", "-o", tmp_path / "hub")
    assert isinstance(refused.exception, UserError)
    assert "is a symbolic link" in str(refused.exception)


def test_what_is_sent_is_the_same_folder(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    sent: dict[str, Any] = {}

    class Hub:
        def create_repo(self, name: str, **options: Any) -> str:
            sent.update(name=name, **options)
            return f"https://hub/{name}"

        def upload_folder(self, *, folder_path: Path, **_: Any) -> None:
            sent["files"] = {path.name for path in folder_path.iterdir()}

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    done = _push(run, "somebody/mine")
    assert done.exit_code == 0, done.output
    assert "https://hub/somebody/mine" in done.output
    assert (sent["name"], sent["private"], sent["exist_ok"]) == ("somebody/mine", True, True)
    assert {"README.md", "model.safetensors", "result.json", "figures"} <= sent["files"]


def test_what_cannot_be_sent_is_told(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    for arguments, message in (
        ((run, "no/such/name"), "REPO=no/such/name"),
        ((tmp_path, "somebody/mine"), "result.json"),
        ((run, "somebody/mine", "-o", tmp_path), "is for --dry-run"),
        ((run, "somebody/mine"), "HF_HUB_OFFLINE is set"),
    ):
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        done = _push(*arguments)
        assert isinstance(done.exception, UserError), arguments
        assert message in str(done.exception)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.utils.get_token", lambda: None)
    done = _push(run, "somebody/mine")
    assert "there is no token" in str(done.exception)
