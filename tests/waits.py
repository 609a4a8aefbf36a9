"""A processor that is treated like a GPU, and who waits for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal", "is_nonzero"}
_FREE = {"view", "_unsafe_view", "t", "transpose", "slice", "select", "split", "split_with_sizes", "unsqueeze", "squeeze",
         "expand", "detach", "alias", "as_strided", "unbind", "permute", "_reshape_alias"}  # fmt: skip


@dataclass
class Counts:
    """What a device would have been asked.

    Attributes:
        waits: What has to be known on the host, or makes a tensor whose size depends on its values.
        launches: Kernels, one an operation at least.
    """

    waits: list[str] = field(default_factory=list)
    launches: int = 0


class _Counting(TorchDispatchMode):
    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        indices = args[1] if name in {"index", "index_put", "index_put_"} else ()
        if _of_a_library():
            pass
        elif name in _WAITS or any(isinstance(index, Tensor) and index.dtype == torch.bool for index in indices or ()):
            self.counts.waits.append(name)
        elif name not in _FREE:
            self.counts.launches += 1
        return func(*args, **(kwargs or {}))


def _of_a_library() -> bool:
    """Whether transformers asks, which looks once a pass whether a batch has padding."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename.endswith(("transformers/masking_utils.py", "transformers/modeling_utils.py")):
            return True
        frame = frame.f_back
    return False


@contextmanager
def counted() -> Iterator[Counts]:
    """Count what torch is asked to do, on whatever device; `tolist` is one wait."""
    counts = Counts()
    tolist: Callable[[Tensor], Any] = Tensor.tolist

    def fetched(tensor: Tensor) -> Any:
        counts.waits.append("tolist")
        with torch._C._DisableTorchDispatch():
            return tolist(tensor)

    with pytest.MonkeyPatch.context() as patch, _Counting(counts):
        patch.setattr(Tensor, "tolist", fetched)
        yield counts


def like_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the ways that a GPU takes, on the processor; there `histc` counts floats alone."""
    histc = torch.histc

    def of_integers(digits: Tensor, *arguments: Any) -> Tensor:
        with torch._C._DisableTorchDispatch():
            floats = digits.float()
        counts = histc(floats, *arguments)
        with torch._C._DisableTorchDispatch():
            return counts.to(digits.dtype)

    monkeypatch.setattr(torch, "histc", of_integers)
    for name, module in list(sys.modules.items()):
        if name.startswith("prune_cli.pruning.") and hasattr(module, "on_host"):
            monkeypatch.setattr(module, "on_host", lambda _: False)
