"""A model from a folder with a sparse file."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from prune_cli.errors import UserError
from prune_cli.runtime.compact import class_as_saved
from prune_cli.runtime.folders import first_line
from prune_cli.sparse.reader import opened

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

FILE = "model.sparse.safetensors"


def load_sparse(path: str | Path) -> PreTrainedModel:
    """Load a model that `prune export --format sparse` wrote, in float32.

    Without `--dtype` and `--quantize` it is the model that was exported, bit for bit.

    Raises:
        UserError: If there is none, it is damaged, or it does not go with the config.json beside it.
    """
    import torch
    from transformers import AutoConfig

    path = Path(path).expanduser()
    file = path / FILE if path.is_dir() else path
    cls = class_as_saved(file.parent)
    try:
        config = AutoConfig.from_pretrained(str(file.parent), trust_remote_code=False)
        loaded = cls.from_pretrained(
            None, config=config, state_dict=read_tensors(file), dtype=torch.float32, output_loading_info=True
        )
    except RuntimeError as error:  # transformers logs which
        raise UserError(f"{file}: its tensors have other shapes than those of the model in config.json") from error
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"{file} cannot be loaded: {first_line(error)}") from error
    model, load_report = cast("tuple[PreTrainedModel, dict[str, Any]]", loaded)
    if load_report["missing_keys"]:
        raise UserError(f"{file} cannot be loaded: it lacks {sorted(load_report['missing_keys'])[0]}")
    return model.eval()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a sparse file, each made once; a model takes them as they are.

    Raises:
        BrokenFile: If it is none.
    """
    import torch

    file = opened(path, verify=False)

    def made(name: str) -> Tensor:
        values = file.tensor(name)
        return torch.from_numpy(values if values.flags.writeable else values.copy())

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:  # numpy and zstd work outside of Python's lock
        right = threads.submit(file.verify)  # beside the rest: it takes a third of the time
        tensors = threads.map(made, file.names())
        right.result()
        return dict(zip(file.names(), tensors, strict=True))
