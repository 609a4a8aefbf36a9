"""What a runtime is. A class here and a YAML in conf/runtime make one."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy.typing as npt

from prune_cli.compaction.compact import compact
from prune_cli.exporting.graphs import Graph, graphs
from prune_cli.exporting.onnx import write_onnx
from prune_cli.exporting.openvino import write_openvino
from prune_cli.exporting.source import Inputs, Source
from prune_cli.extras import lacking

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Arrays = Mapping[str, npt.NDArray[Any]]
Run = Callable[[Arrays], Arrays]
"""From model inputs to logits by name."""
CALIBRATION = 100
"""Training records that int8 is calibrated on."""


@final
class Candidate:
    """A model to measure, as it was saved or compact, and the files that runtimes read, each made when first asked for."""

    def __init__(self, source: Source, folder: Path, *, compacted: bool, example: Inputs) -> None:
        self.source = source
        self.compacted = compacted
        self._example = example
        self._folder = folder

    def unloaded(self) -> Candidate:
        """The same without what was loaded and without its task, small enough for another process."""
        source = Source(self.source.folder, None)
        return Candidate(source, self._folder, compacted=self.compacted, example=self._example)

    @cached_property
    def model(self) -> PreTrainedModel:
        """The model in float32, whose attention is taken operation by operation."""
        model = self.source.model()
        if self.compacted:
            compact(model)
        return model

    @cached_property
    def torch_model(self) -> PreTrainedModel:
        """The model with the attention that transformers prefers; all that run it on the CPU share it."""
        model = copy.deepcopy(self.model)
        if model._supports_sdpa:
            model.set_attn_implementation("sdpa")
        return model

    @cached_property
    def _graphs(self) -> list[Graph]:
        return graphs(self.model, self._example)

    def onnx(self, *, int8: bool) -> Path:
        """The folder with its ONNX files."""
        return self._written(f"onnx{int8}", lambda graph, path: write_onnx(graph, path.with_suffix(".onnx"), int8=int8))

    def openvino(self, *, int8: bool) -> Path:
        """The folder with its OpenVINO files; int8 is calibrated on training records."""
        number = {graph.name: place for place, graph in enumerate(self._graphs)}

        def write(graph: Graph, path: Path) -> None:
            calibration = None
            if int8:
                trained = self.source.inputs(CALIBRATION, 1, split="train")
                calibration = [graphs(self.model, batch)[number[graph.name]].inputs for batch in trained]
            write_openvino(graph, path.with_suffix(".xml"), calibration=calibration)

        return self._written(f"openvino{int8}", write)

    def _written(self, form: str, write: Callable[[Graph, Path], None]) -> Path:
        folder = self._folder / form
        if not folder.is_dir():
            folder.mkdir(parents=True)
            for graph in self._graphs:
                write(graph, folder / graph.name)
        return folder


class Runtime(ABC):
    """A way to run models.

    Attributes:
        packages: What has to be installed.
        extra: The extra of this project that brings it.
    """

    packages: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""

    def problems(self) -> Iterator[str]:
        """What is wrong with the values beyond their types; each message begins with the field."""
        return iter(())

    def lacking(self) -> str | None:
        """Why it cannot be used here; None where it can."""
        return lacking("it", self.extra, *self.packages)

    @abstractmethod
    def prepare(self, candidate: Candidate) -> tuple[Run, int]:
        """Load a model.

        Returns:
            What runs it, and bytes of its weights on disk.
        """


def not_among(name: str, value: str, *known: str) -> Iterator[str]:
    """Tell of a value that is none of those known."""
    if value not in known:
        yield f"{name} is {value}: give {' or '.join(known)}"


def bytes_in(folder: Path) -> int:
    """Bytes of the files with weights of an export."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".onnx", ".bin", ".safetensors"))
