"""Records from the Hugging Face hub, at the revision that the task pins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prune_cli.data.base import splits_of
from prune_cli.data.extra import Extra
from prune_cli.data.records import Split, checked
from prune_cli.errors import UserError
from prune_cli.network import probe

if TYPE_CHECKING:
    from datasets import Dataset

    from prune_cli.tasks.base import Task

_OTHERS = "Use data=local data.path=DIR with files of your own, data=synthetic for made-up records, or"
WITHOUT_HUB = f"{_OTHERS} HF_HUB_OFFLINE=1 with a cache filled on a machine that reaches the hub."
OFFLINE = f"{_OTHERS} fill the cache on a machine that reaches the hub; without HF_HUB_OFFLINE it is asked."


@dataclass(frozen=True)
class Hub(Extra):
    """The data set that a task names, downloaded once and then read from the cache of `datasets`."""

    def missing(self, task: Task, *, training: bool = True) -> list[str]:
        """Say whether the data set can be had: from the cache, or from a hub that answers within seconds."""
        from huggingface_hub import constants

        if not task.hub_path:
            return [f"task={task.name} has no data set on the hub: give data=local data.path=DIR, or data=synthetic"]
        if _cached_files(task):
            return []
        if constants.HF_HUB_OFFLINE:
            return [f"HF_HUB_OFFLINE is set and {_described(task)} is not in the cache. {OFFLINE}"]
        failure = probe(f"{constants.ENDPOINT}/api/datasets/{task.hub_path}/revision/{task.hub_revision}")
        return [f"{_described(task)} cannot be loaded from the hub: {failure}. {WITHOUT_HUB}"] if failure else []

    def identity(self, task: Task) -> str:
        """Name and revision of the data set."""
        return f"hub:{task.hub_path}/{task.hub_config or 'default'}@{task.hub_revision}"

    def load(self, task: Task, *, training: bool = True) -> tuple[Task, dict[str, Dataset]]:
        """Read and check the splits, from the cache where they are in it.

        Returns:
            The task, which now knows its labels, and the records by split.

        Raises:
            UserError: If the download fails, a split is missing, or a record is unusable.
        """
        files = _cached_files(task)
        splits = _read_cached(files) if files else _download(task)
        if missing := [split for split in splits_of(task, training=training) if split not in splits]:
            raise UserError(
                f"{_described(task)} has no split {', '.join(missing)}; there are: {', '.join(splits)}. "
                "Set task.evaluation_splits to what there is."
            )
        raw = {split: _raw(task, split, splits[split]) for split in splits_of(task, training=training)}
        return checked(task, raw, _label_names(task, splits[next(iter(raw))]))


def _described(task: Task) -> str:
    config = f" ({task.hub_config})" if task.hub_config else ""
    return f"The data set {task.hub_path}{config} at revision {task.hub_revision}"


def _cached_files(task: Task) -> dict[str, list[Path]]:
    """Find the Arrow files of every needed split in the cache of `datasets`, at the pinned revision.

    Looked up here because `load_dataset` takes whichever revision is newest in the cache where the hub does not
    answer, after half a minute of retries. Its layout: OWNER___NAME/CONFIG/VERSION/REVISION/NAME-SPLIT[-SHARD].arrow.

    Returns:
        Files by split; empty unless all splits are there.
    """
    from datasets import config
    from datasets.naming import camelcase_to_snakecase

    *owner, name = task.hub_path.split("/")
    root = Path(config.HF_DATASETS_CACHE, "___".join([*owner, camelcase_to_snakecase(name)]))
    for folder in sorted(root.glob(f"{task.hub_config or 'default'}/*/{task.hub_revision}")):
        files = {split: _shards(folder, split) for split in splits_of(task, training=True)}
        if all(files.values()):
            return files
    return {}


def _shards(folder: Path, split: str) -> list[Path]:
    return sorted(folder.glob(f"*-{split}.arrow")) or sorted(folder.glob(f"*-{split}-*-of-*.arrow"))


def _read_cached(files: dict[str, list[Path]]) -> dict[str, Dataset]:
    from datasets import Dataset, concatenate_datasets

    return {split: concatenate_datasets([Dataset.from_file(str(shard)) for shard in shards]) for split, shards in files.items()}


def _download(task: Task) -> dict[str, Dataset]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        splits = load_dataset(task.hub_path, task.hub_config, revision=task.hub_revision)
    except (OSError, ValueError, DatasetsError) as error:
        raise UserError(f"{_described(task)} cannot be read: {error}. {WITHOUT_HUB}") from error
    return {str(split): records for split, records in splits.items()}


def _label_names(task: Task, records: Dataset) -> list[str] | None:
    """The names that the data set gives the numbers in one of the task's columns, None where it names none."""
    from datasets import ClassLabel

    for column, feature in records.features.items():
        if column in task.columns and column not in task.inputs:
            named = getattr(feature, "feature", feature)  # a list's members
            if isinstance(named, ClassLabel):
                return list(named.names)
    return None


def _raw(task: Task, split: str, records: Dataset) -> Split:
    return Split(
        records.to_list(),
        lambda number: f"{task.hub_path} {split}, record {number + 1}",
        f"{task.hub_path} {split}",
    )
