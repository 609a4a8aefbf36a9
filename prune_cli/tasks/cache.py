"""Data sets kept from one run to the next: the jobs of a sweep encode the same records again and again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prune_cli.files import put_folder
from prune_cli.paths import cache_folder
from prune_cli.sources import class_sources, sources_hash

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from prune_cli.tasks.base import Task

log = logging.getLogger(__name__)

_OURS = "prune_cli"
LEAST = 2_000
"""Records from which it pays: fewer are encoded in half a second."""
KEPT = 30
"""Data sets that are kept, the last used."""


def encoded(task: Task, records: Dataset, tokenizer: PreTrainedTokenizerBase, *, training: bool) -> Dataset:
    """Encode records, or take them as they were encoded before.

    What counts is all that `Task.encode` sees: the records by their content, the task, the tokenizer, the versions of the
    libraries that do it, and the source of this package and of a task of the user's own.
    """
    if len(records) < LEAST or not tokenizer.is_fast:
        return task.encode(records, tokenizer, training=training)
    key = _key(task, records, tokenizer, training=training)
    return remembered("encoded", key, lambda: task.encode(records, tokenizer, training=training))


def remembered(kind: str, key: str, make: Callable[[], Dataset]) -> Dataset:
    """A data set as it was made before, or make it.

    Args:
        key: Equal exactly when the same would be made.
    """
    from datasets import Dataset

    place = cache_folder() / kind / key
    try:
        dataset = Dataset.load_from_disk(str(place))
        place.touch()  # the last used are kept
    except (OSError, ValueError):  # none yet, or torn: making it again is all that is lost
        dataset = make()
        _keep(dataset, place)
    return dataset


def _keep(dataset: Dataset, place: Path) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".", dir=place.parent))
        with _no_bar():
            dataset.save_to_disk(str(temporary))
        put_folder(temporary, place)
        entries = [path for path in place.parent.iterdir() if not path.name.startswith(".")]
        for old in sorted(entries, key=lambda path: path.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:  # a home that cannot be written, or is full, costs time alone
        log.debug("%s cannot be written: %s", place, error)


@contextmanager
def _no_bar() -> Iterator[None]:
    """Without the bar of datasets: nobody waits for what is kept here."""
    import datasets

    hidden = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not hidden:
            datasets.enable_progress_bars()


def _key(task: Task, records: Dataset, tokenizer: PreTrainedTokenizerBase, *, training: bool) -> str:
    import pyarrow

    digest = hashlib.sha256()
    parts = [repr(task), training, type(tokenizer).__name__, tokenizer.model_max_length, tokenizer.padding_side]
    parts += [importlib.metadata.version(name) for name in ("transformers", "tokenizers", "datasets")]
    parts += [sources(task)]
    fast: Any = tokenizer
    digest.update(repr([*parts, fast.backend_tokenizer.to_str()]).encode())
    table: Any = records.with_format("arrow")[:]
    with pyarrow.ipc.new_stream(pyarrow.PythonFile(_Hashing(digest), mode="w"), table.schema) as stream:
        stream.write_table(table)
    return digest.hexdigest()


def sources(task: Task) -> str:
    """Hash of what makes something of a task's records: this package, and the source of a task of the user's own."""
    return _package() + sources_hash(class_sources(type(task), {_OURS}))


@cache
def _package() -> str:
    """Hash of this package: whatever changes in it may change how records are encoded."""
    return sources_hash(Path(__file__).parents[1].rglob("*.py"))


class _Hashing:
    """A file whose content is hashed and thrown away."""

    closed = False

    def __init__(self, digest: Any) -> None:
        self._digest = digest

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...
