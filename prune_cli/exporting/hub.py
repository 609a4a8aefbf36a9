"""A run as a repository on the Hugging Face hub."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prune_cli.artifacts.result import Result
from prune_cli.artifacts.run_folder import RunFolder
from prune_cli.errors import UserError
from prune_cli.files import write_text
from prune_cli.redaction import redact, without_folders
from prune_cli.run.finish import PICTURES, card
from prune_cli.runtime.folders import first_line

_NOT_SHARED = ("promised", "samples", "config", "files")
"""Of result.json: what belongs to this machine, and texts of records, whose licences are their own."""


def put_together(run: RunFolder, folder: Path) -> None:
    """Put together what a repository of a run holds: model card, weights, tokenizer, metrics and pictures.

    Nothing but the model's files that result.json promises, and card and pictures where they are still there, is copied; and
    of a symbolic link nothing is.

    Raises:
        UserError: If the run has not finished, or its files are not those that it wrote.
    """
    result = run.read_result()
    if broken := [*run.broken_promises(result, thorough=True), *_links(run, result)]:
        raise UserError(*broken)
    config = result.config
    if not _is_regular(run.card) and "model" not in config:
        raise UserError(f"{run.card} is gone, and result.json has no configuration to write it anew: put a README.md there")
    for name in _of_model(result):
        shutil.copyfile(run.path / name, folder / Path(name).name, follow_symlinks=False)
    pictures = [path for path in sorted(run.figures.glob("*.*")) if path.name in PICTURES and _is_regular(path)]
    for path in pictures:
        (folder / run.figures.name).mkdir(exist_ok=True)
        shutil.copyfile(path, folder / run.figures.name / path.name, follow_symlinks=False)
    shared: dict[str, Any] = {key: value for key, value in result.plain().items() if key not in _NOT_SHARED}
    shared["config"] = redact(without_folders(config))
    write_text(folder / "result.json", json.dumps(shared, indent=2, default=str) + "\n")
    text = run.card.read_text(encoding="utf-8") if _is_regular(run.card) else card(result, config)
    if pictures:
        text = text.rstrip() + "\n\n## Pictures\n\n"
        text += "\n".join(f"![{path.stem}]({run.figures.name}/{path.name})\n" for path in pictures)
    write_text(folder / run.card.name, text)


def _of_model(result: Result) -> list[str]:
    """The promised files of the model."""
    return [name for name in result.promised if name == f"model/{Path(name).name}"]


def _links(run: RunFolder, result: Result) -> Iterator[str]:
    for name in _of_model(result):
        if (run.path / name).is_symlink():
            yield f"{run.path / name} is a symbolic link, and what it leads to is not sent: put the file itself there"


def _is_regular(path: Path) -> bool:
    """Whether a path is a file, and no link to one."""
    return path.is_file() and not path.is_symlink()


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
        raise UserError("there is no token for the hub: `hf auth login`, or HF_TOKEN; or look at it first with --dry-run")
    hub = HfApi()
    try:
        address = hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="A pruned model, by prune-lm")
    except (HfHubHTTPError, OSError) as error:
        raise UserError(f"the hub did not take {repository}: {first_line(error)}") from error
    return str(address)
