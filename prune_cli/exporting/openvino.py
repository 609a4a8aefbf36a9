"""OpenVINO files, in float32, with weights stored as float16, or in int8 by NNCF."""

from __future__ import annotations

import io
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from prune_cli.exporting.onnx import quiet, write_onnx
from prune_cli.extras import needed

if TYPE_CHECKING:
    from prune_cli.exporting.graphs import Graph
    from prune_cli.exporting.source import Inputs


def write_openvino(graph: Graph, path: Path, *, half: bool = False, calibration: Iterable[Inputs] | None = None) -> None:
    """Write a graph, by way of ONNX.

    Args:
        graph: In float32.
        path: The new file, .xml; its weights are beside it, .bin.
        half: Store weights as float16; what a device computes in is told to it when it loads the file.
        calibration: Inputs of the graph to quantize weights and activations to int8 by; None for no quantization.

    Raises:
        UserError: If a package is missing.
    """
    needed("--format openvino", "openvino", "openvino", "nncf", "onnx", "onnxscript", "onnxruntime")
    import openvino

    plain = path.with_suffix(".onnx")
    write_onnx(graph, plain)
    with quiet():
        model = openvino.convert_model(str(plain))
        if calibration is not None:
            import nncf

            inputs = nncf.Dataset([{name: value.numpy() for name, value in each.items()} for each in calibration])
            with redirect_stdout(io.StringIO()):  # it draws bars of its own
                model = nncf.quantize(model, inputs, model_type=nncf.ModelType.TRANSFORMER, subset_size=inputs.get_length() or 1)
        openvino.save_model(model, str(path), compress_to_fp16=half)
    plain.unlink()
