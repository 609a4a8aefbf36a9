"""Runtimes of exported graphs: ONNX Runtime and OpenVINO."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

from prune_cli.bench.base import Arrays, Candidate, Run, Runtime, bytes_in, not_among
from prune_cli.runtime.graphs import Graphs
from prune_cli.training.hardware import bf16_in_hardware


@final
@dataclass(frozen=True, kw_only=True)
class OnnxRuntime(Runtime):
    """ONNX Runtime on the CPU.

    Attributes:
        int8: Quantized weights, and activations as they come.
    """

    int8: bool = False
    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime", "onnxscript")
    extra: ClassVar[str] = "onnx"

    def prepare(self, candidate: Candidate) -> tuple[Run, int]:
        """See `Runtime`. Its threads do not wait busily: they would take the time of the other runtimes that are measured."""
        from prune_cli.runtime.onnx import OnnxModel

        folder = candidate.onnx(int8=self.int8)
        return _of(OnnxModel(folder, spin=False)), bytes_in(folder)


@final
@dataclass(frozen=True, kw_only=True)
class OpenVino(Runtime):
    """OpenVINO on the CPU.

    Attributes:
        precision: What is computed in; int8 is calibrated on training records, what is not quantized is float32.
    """

    precision: str = "fp32"
    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime", "onnxscript", "openvino", "nncf")
    extra: ClassVar[str] = "openvino"

    def problems(self) -> Iterator[str]:
        """See `Runtime`."""
        yield from not_among("precision", self.precision, "fp32", "bf16", "int8")

    def lacking(self) -> str | None:
        """bf16 in hardware may be."""
        if self.precision == "bf16" and not bf16_in_hardware("cpu"):
            return "no bf16 in hardware"
        return super().lacking()

    def prepare(self, candidate: Candidate) -> tuple[Run, int]:
        """See `Runtime`."""
        from prune_cli.runtime.openvino import OpenVinoModel

        folder = candidate.openvino(int8=self.precision == "int8")
        hint = "bf16" if self.precision == "bf16" else "f32"
        return _of(OpenVinoModel(folder, precision=hint)), bytes_in(folder)


def _of(model: Graphs) -> Run:
    def run(inputs: Arrays) -> Arrays:
        return model(**inputs)

    return run
