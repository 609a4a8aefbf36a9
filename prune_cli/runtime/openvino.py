"""Exported models in OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, final

import numpy.typing as npt

from prune_cli.runtime.graphs import Arrays, Graphs


@final
class OpenVinoModel(Graphs):
    """What `prune export --format openvino` wrote."""

    ending = ".xml"
    package = extra = "openvino"

    def __init__(
        self, folder: str | Path, *, precision: Literal["f32", "bf16", "f16"] = "f32", threads: int | None = None
    ) -> None:
        """Load it.

        Args:
            folder: Holds model.xml, or encoder_model.xml and decoder_model.xml.
            precision: What is computed in where nothing is quantized. Left to itself OpenVINO takes bf16 wherever there is
                hardware for it, and says nothing.
            threads: Of the CPU; None for as many as it likes.

        Raises:
            UserError: If it cannot be loaded.
        """
        super().__init__(folder)
        import openvino

        options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = str(threads)
        core = openvino.Core()
        self.compiled = self.opened(lambda path: core.compile_model(path, "CPU", options))

    def computed(self, name: str, inputs: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """See `Graphs`."""
        graph = self.compiled[name]
        outputs = graph(self.given([each.any_name for each in graph.inputs], inputs))
        return {each.any_name: outputs[each.any_name] for each in graph.outputs}
