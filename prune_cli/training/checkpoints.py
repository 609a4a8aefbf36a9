"""Checkpoints that are either whole or not there, from which a run goes on exactly as if it had never stopped."""

from __future__ import annotations

import contextlib
import json
import logging
import random
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from prune_cli.distillation.teacher import tensors
from prune_cli.errors import UserError
from prune_cli.files import checksum, put_folder, sync
from prune_cli.plain import from_json
from prune_cli.pruning.shards import fill, is_sharded, joint, share, whole

if TYPE_CHECKING:
    from torch import Tensor

    from prune_cli.artifacts.history import History
    from prune_cli.training.endings import BestWeights
    from prune_cli.training.learning import Learning, Progress

log = logging.getLogger(__name__)

_PREFIX = "checkpoint-"
_MANIFEST = "manifest.json"
_STATE = "run.json"
_MODEL = "model.safetensors"
_OPTIMIZER = "optimizer.pt"
_RANDOM = "random.pt"
_PRUNER = "pruner.safetensors"
_TEACHER = "teacher.safetensors"
_CACHE = "teacher_cache.pt"
_BEST = "best.safetensors"
_HISTORY = "history.jsonl"


@final
@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint.

    Attributes:
        state: What belongs to the run and is no tensor: its identity (`run`), `step`, `precision`, `teacher`, `progress`.
    """

    path: Path
    step: int
    state: Mapping[str, Any]

    @property
    def history(self) -> Path:
        """The history up to this step."""
        return self.path / _HISTORY


def latest_checkpoint(folder: Path, run_id: str) -> Checkpoint | None:
    """Find the newest whole checkpoint of a run; torn ones are passed over with a warning.

    Returns:
        The checkpoint, None where there is none.

    Raises:
        UserError: If it belongs to another run: going on from it would give a result that is neither's.
    """
    for path in _newest_first(folder):
        if not _whole(path):
            log.warning("%s is damaged; going back to the checkpoint before it", path)
            continue
        state = from_json((path / _STATE).read_text(encoding="utf-8"))
        if state.get("step") != _step(path):
            log.warning("%s is of step %s, whatever its name says; going back to the one before it", path, state.get("step"))
            continue
        if state["run"] != run_id:
            raise UserError(
                f"{path} belongs to another run ({state['run']}, and this one is {run_id}): take it out of that folder to"
                " go on without it, or put back what was there"
            )
        return Checkpoint(path, _step(path), state)
    return None


def newest_step(folder: Path) -> int | None:
    """The step of the newest checkpoint, whole or not; None where there is none."""
    return next((_step(path) for path in _newest_first(folder)), None)


@final
class Checkpoints:
    """The checkpoints of one run.

    They are the same however many processes there are, and whichever part of the model each holds: a run may go on with others.

    A weight costs 12 bytes (itself and two moments of Adam), a prunable one 13 more (9 without uncertainty, none for a
    criterion that is not smoothed), 4 more a weight while a former student teaches, and 4 more where the best are kept. What a
    teacher said of records takes 256 MiB at most.
    """

    def __init__(self, folder: Path, *, keep: int, run_id: str, history: History, best: BestWeights | None = None) -> None:
        """Name what is saved beside what learns.

        Args:
            folder: Where the checkpoints lie, each a folder "checkpoint-<step>".
            history: Its records are saved, so that a resumed run has them whatever becomes of history.jsonl.
            best: Its weights are saved; None where the last are kept.
        """
        self.folder, self.keep, self.run_id, self.history, self.best = folder, keep, run_id, history, best

    def write(self, it: Learning, progress: Progress) -> None:
        """Write a checkpoint, all of which appears at once; the first process writes what the others give it."""
        staging = self.folder / ".staging"
        filled = staging / f"{_PREFIX}{progress.step}"
        writes = it.processes.writes
        if writes:
            shutil.rmtree(staging, ignore_errors=True)
            filled.mkdir(parents=True)

        def save(named: Mapping[str, Tensor], name: str) -> None:
            there = on_host(named, kept=writes)
            if writes:
                save_file(there, filled / name)

        save(tensors(it.model), _MODEL)
        optimizer = _joined(it.optimizer.state_dict(), kept=writes)
        if writes:
            torch.save(optimizer, filled / _OPTIMIZER)
            torch.save(_random_states(), filled / _RANDOM)
        save(it.pruner.state_dict(), _PRUNER)
        state = {
            "run": self.run_id,
            "step": progress.step,
            "precision": it.precision,
            "teacher": None if it.teacher is None else it.teacher.state(),
            "progress": {
                "epoch": progress.epoch,
                "losses": it.processes.all(progress.loss.item()),
                "logged": progress.logged,
            },
        }
        if it.teacher is not None:
            save(it.teacher.weights(), _TEACHER)
            if it.teacher.cache is not None:
                caches = it.processes.gathered(it.teacher.cache.state())
                if writes:
                    torch.save(caches, filled / _CACHE)
        if self.best is not None and self.best.step is not None:
            save(self.best.weights(it.model), _BEST)
            state["best"] = self.best.state()
        if writes:
            self._put(filled, state, progress.step)
        it.processes.wait()  # nobody ends, and ends the others, before it is there

    def _put(self, filled: Path, state: Mapping[str, Any], step: int) -> None:
        """Let a checkpoint appear, and remove the oldest."""
        (filled / _STATE).write_text(json.dumps(state), encoding="utf-8")
        self.history.save(filled / _HISTORY)
        sums = {path.name: checksum(path) for path in sorted(filled.iterdir())}
        (filled / _MANIFEST).write_text(json.dumps(sums), encoding="utf-8")
        put_folder(filled, self.folder / filled.name)
        sync(self.folder.parent)  # which the first checkpoint made a folder in
        # One of a later step is damaged, or the run would have gone on from it: it takes no place among those that stay
        sound = [path for path in _newest_first(self.folder) if _step(path) <= step]
        for old in sound[self.keep :]:
            shutil.rmtree(old)

    @torch.no_grad()
    def restore(self, checkpoint: Checkpoint, it: Learning, progress: Progress) -> None:
        """Give all that learns, the weights that are kept, and random numbers their state back."""
        state, rank, count = checkpoint.state, it.processes.rank, it.processes.count
        with _read(checkpoint.path / _MODEL) as saved:
            for name, tensor in tensors(it.model).items():
                fill(tensor, saved[name])
        it.optimizer.load_state_dict(_parted(torch.load(checkpoint.path / _OPTIMIZER, weights_only=True), it.optimizer))
        with _read(checkpoint.path / _PRUNER) as saved:
            it.pruner.load_state_dict(saved)
        if it.teacher is not None:
            with _read(checkpoint.path / _TEACHER) as saved:
                it.teacher.load(state["teacher"], saved)
            if it.teacher.cache is not None:
                caches = torch.load(checkpoint.path / _CACHE, it.device, weights_only=True)
                it.teacher.cache.load(*(caches[rank : rank + 1] if len(caches) == count else caches), counted=rank == 0)
        if self.best is not None and "best" in state:
            with _read(checkpoint.path / _BEST) as saved:
                self.best.load(it.model, state["best"], saved)
        where = state["progress"]
        progress.step, progress.epoch, progress.logged = checkpoint.step, where["epoch"], where["logged"]
        losses = where["losses"]
        progress.loss.fill_(losses[rank] if len(losses) == count else sum(losses) / count)
        _put_back(torch.load(checkpoint.path / _RANDOM, weights_only=True))


def _random_states() -> dict[str, Any]:
    """Whatever may be drawn from."""
    kind, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
        "torch": torch.random.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],  # asking others would occupy them
    }


def _put_back(states: Mapping[str, Any]) -> None:
    kind, keys, *rest = states["numpy"]
    random.setstate(states["python"])
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.random.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"][0])


def _step(path: Path) -> int:
    return int(path.name.removeprefix(_PREFIX))


def _newest_first(folder: Path) -> list[Path]:
    paths = [path for path in folder.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX).isdecimal()]
    return sorted(paths, key=_step, reverse=True)


def on_host(named: Mapping[str, Tensor], *, kept: bool) -> dict[str, Tensor]:
    """Tensors on the host, each of them whole; every process has to ask, where one holds a part.

    Args:
        kept: Whether this process wants them; else it only helps to make them.
    """
    there: dict[str, Tensor] = {}
    for name, tensor in named.items():
        all_of_it = whole(tensor.detach())
        if kept:
            there[name] = all_of_it.cpu().contiguous()
    return there


def _joined(state: dict[str, Any], *, kept: bool) -> dict[str, Any]:
    """The state of an optimizer, whose tensors may be parted."""
    if not any(is_sharded(value) for moments in state["state"].values() for value in moments.values()):
        return state
    return {**state, "state": {number: on_host(moments, kept=kept) for number, moments in state["state"].items()}}


def _parted(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The same, from one that is whole."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not any(map(is_sharded, parameters)):
        return state
    return {
        **state,
        "state": {
            number: {
                name: joint(share(value, parameters[number]).clone(), parameters[number]) if value.ndim else value
                for name, value in moments.items()
            }
            for number, moments in state["state"].items()
        },
    }


@contextlib.contextmanager
def _read(path: Path) -> Iterator[Mapping[str, Tensor]]:
    """The tensors of a file, read one by one when they are asked for."""
    with safe_open(path, "pt") as file:
        yield _Tensors(file)


@final
class _Tensors(Mapping[str, "Tensor"]):
    """What `safe_open` gives."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getitem__(self, name: str) -> Tensor:
        """Read a tensor."""
        if name not in self._file.keys():  # noqa: SIM118 it is no mapping
            raise KeyError(name)
        return self._file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._file.keys())

    def __len__(self) -> int:
        """How many there are."""
        return len(self._file.keys())


def _whole(path: Path) -> bool:
    """Whether all that the manifest promises is there; against torn and rotten files, not against malice."""
    try:
        sums = from_json((path / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(sums, dict) or _STATE not in sums:
        return False
    return all((path / name).is_file() and checksum(path / name) == expected for name, expected in sums.items())
