"""Exported models in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, final

import numpy.typing as npt

from prune_cli.runtime.graphs import Arrays, Graphs

SLOW = ["SkipLayerNormFusion"]
"""Optimizations of ONNX Runtime that cost more than they gain on a CPU: this one's kernel takes several times as long as the
addition and the normalization that it replaces (1.32, see docs/exporting.md)."""


@final
class OnnxModel(Graphs):
    """What `prune export --format onnx` wrote: `OnnxModel(folder)(input_ids=..., attention_mask=...)["logits"]`."""

    ending = ".onnx"
    package = "onnxruntime"
    extra = "runtime"

    def __init__(self, folder: str | Path, *, threads: int | None = None, spin: bool = True) -> None:
        """Load it.

        Args:
            folder: Holds model.onnx, or encoder_model.onnx and decoder_model.onnx.
            threads: Of the CPU; None for as many as it has cores.
            spin: Let threads wait busily between operations, which is faster where nothing else runs.

        Raises:
            UserError: If it cannot be loaded.
        """
        super().__init__(folder)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
        self.sessions = self.opened(
            lambda path: onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOW)
        )

    def computed(self, name: str, inputs: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """See `Graphs`."""
        session = self.sessions[name]
        wanted = self.given([each.name for each in session.get_inputs()], inputs)
        names = [each.name for each in session.get_outputs()]
        return dict(zip(names, cast("list[npt.NDArray[Any]]", session.run(names, wanted)), strict=True))
