"""ONNX files, in float32 or with int8 weights, for ONNX Runtime and others."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.export import _trace

from prune_cli.errors import UserError
from prune_cli.exporting.attention import OPSET, as_one_operation
from prune_cli.extras import needed
from prune_cli.plain import shortened
from prune_cli.runtime.folders import first_line

if TYPE_CHECKING:
    from prune_cli.exporting.graphs import Graph


def write_onnx(graph: Graph, path: Path, *, int8: bool = False) -> None:
    """Write a graph.

    int8 is ONNX Runtime's dynamic quantization: weights are int8, one scale a matrix, and what comes in is quantized as it
    comes, so that nothing has to be calibrated.

    Raises:
        UserError: If a package is missing, or PyTorch's exporter fails.
    """
    needed("--format onnx", "onnx", "onnx", "onnxscript", "onnxruntime")
    import onnxscript.optimizer

    sizes: dict[str, Any] = {}
    shapes = tuple(
        {place: sizes.setdefault(size, torch.export.Dim(size)) for place, size in graph.axes[name].items()}
        for name in graph.inputs
    )
    plain = path.with_suffix(".float.onnx") if int8 else path
    with quiet(), torch.no_grad(), as_one_operation(graph.module.model):
        try:
            program = torch.onnx.export(
                graph.module,
                tuple(graph.inputs.values()),
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_shapes={"inputs": shapes},
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
                optimize=False,
            )
        except torch.onnx.OnnxExporterError as error:
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            raise UserError(
                f"{type(graph.module.model).__name__} cannot be taken apart for ONNX, nor for OpenVINO, which is made from it:"
                f" {type(cause).__name__}, {shortened(first_line(cause), 200)}. --format sparse works with every architecture"
            ) from error
        assert program is not None  # it is None where torch is to write the file itself
        # By hand: torch would go on to make rotary positions an operation that ONNX Runtime 1.32 refuses for more than one text
        onnxscript.optimizer.optimize(program.model)
        program.save(str(plain))
    if int8:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        with quiet():
            # Named, for left to itself it takes ONNX's attention for its own of the same name
            quantize_dynamic(plain, path, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm", "Gather"])
        plain.unlink()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence exporters that warn of their own insides and log every step."""
    levels = {name: logging.getLogger(name).level for name in _TALKATIVE}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)
        _trace.__dict__["print"] = lambda *_, **__: None  # it prints the whole graph where an export fails
        try:
            yield
        finally:
            del _trace.__dict__["print"]
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


_TALKATIVE = ("torch.onnx", "torch.fx", "onnxscript", "onnx_ir", "root", "nncf")
