"""A run as a repository on the Hugging Face hub."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.errors import UserError
from prune_cli.files import write_text
from prune_cli.runtime.folders import first_line
from prune_cli.tracking.secrets import redact, without_folders

_NOT_SHARED = ("promised", "samples", "config", "files")
"""Of result.json: what belongs to this machine, and texts of records, whose licences are their own."""


def filled(run: RunFolder, folder: Path) -> None:
    """Put together what a repository of a run holds: model card, weights, tokenizer, metrics and pictures.

    Args:
        run: A finished run.
        folder: A new or empty folder.

    Raises:
        UserError: If the run has not finished, its files are not those that it wrote, or the folder has something in it.
    """
    result = run.read_result()
    if broken := list(run.broken_promises(result, thorough=True)):
        raise UserError(*broken)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--output {folder} is there: give a folder that is not, or an empty one")
    shutil.copytree(run.model, folder, dirs_exist_ok=True)
    shutil.copytree(run.figures, folder / "figures")
    config = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    shared: dict[str, Any] = {key: value for key, value in result.items() if key not in _NOT_SHARED}
    shared["config"] = redact(without_folders(config))
    write_text(folder / "result.json", json.dumps(shared, indent=2, default=str) + "\n")
    card = (folder / "README.md").read_text(encoding="utf-8").rstrip()
    pictures = "\n".join(f"![{path.stem}](figures/{path.name})\n" for path in sorted((folder / "figures").iterdir()))
    write_text(folder / "README.md", f"{card}\n\n## Pictures\n\n{pictures}")


def checked_name(repository: str) -> str:
    """The name of a repository, such as somebody/bert-mrpc-90.

    Raises:
        UserError: If the hub would take none of that name.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UserError(f"REPO={repository}: {first_line(error)}") from error
    return repository


def upload(folder: Path, repository: str, *, private: bool) -> str:
    """Send a folder to the hub; a repository that is not there is made.

    Args:
        folder: What `filled` made.
        repository: Its name.
        private: Whether a new one is private.

    Returns:
        Its address.

    Raises:
        UserError: If the hub cannot be reached, or refuses.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import get_token

    if constants.HF_HUB_OFFLINE:
        raise UserError("HF_HUB_OFFLINE is set: unset it to push, or give --dry-run")
    if get_token() is None:
        raise UserError(
            "there is no token for the hub: `hf auth login`, or HF_TOKEN; or look at it first with --dry-run"
        )
    hub = HfApi()
    try:
        address = hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="A pruned model, by prune-lm")
    except (HfHubHTTPError, OSError) as error:
        raise UserError(f"the hub did not take {repository}: {first_line(error)}") from error
    return str(address)
