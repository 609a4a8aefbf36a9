"""`prune export`: a format, checked against the model as it was saved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from safetensors import SafetensorError

from prune_cli import __version__
from prune_cli.compaction.changes import has_rules
from prune_cli.compaction.compact import Arithmetic, compact
from prune_cli.errors import UserError
from prune_cli.exporting.graphs import graphs
from prune_cli.exporting.onnx import write_onnx
from prune_cli.exporting.openvino import write_openvino
from prune_cli.exporting.readme import readme
from prune_cli.exporting.source import Inputs, Source
from prune_cli.extras import needed
from prune_cli.files import filled, resolved, write_text
from prune_cli.runtime.compact import load_compact
from prune_cli.runtime.folders import first_line
from prune_cli.runtime.sparse import FILE
from prune_cli.sparse.writer import TORCH, write_sparse

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Format = Literal["compact", "sparse", "onnx", "openvino"]
Dtype = Literal["fp32", "fp16", "bf16"]
FORMATS: tuple[Format, ...] = ("compact", "sparse", "onnx", "openvino")
NOTE = "export.json"
RECORDS = 200
"""Records that an export is checked on, and calibrated on, at most."""
_CLASSES = 1024
"""Classes whose logits are compared, at most."""
_TOO_FAR: Mapping[Format, float] = {"compact": 1e-4, "onnx": 1e-3, "openvino": 1e-3}
"""Difference from the saved model, relative to the largest output, that is no rounding any more."""
_DTYPES: Mapping[Format, tuple[Dtype, ...]] = {
    "compact": ("fp32", "fp16", "bf16"),
    "sparse": ("fp32", "fp16", "bf16"),
    "onnx": ("fp32",),
    "openvino": ("fp32", "fp16"),
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be exported.

    Attributes:
        compact: Cut out what is empty; None where it can be done.
    """

    format: Format
    dtype: Dtype = "fp32"
    int8: bool = False
    compact: bool | None = None

    def problems(self) -> Iterator[str]:
        """What cannot work, before anything is loaded."""
        if self.format not in FORMATS:
            yield f"--format {self.format}: one of {', '.join(FORMATS)}"
            return
        if self.dtype not in _DTYPES[self.format]:
            yield f"--dtype {self.dtype}: {self.format} takes {' or '.join(_DTYPES[self.format])}"
        if self.int8 and self.format == "compact":
            yield "--quantize int8: a compact model is one of PyTorch; take --format onnx, openvino or sparse for int8"
        if self.int8 and self.dtype != "fp32" and self.format == "openvino":
            yield f"--dtype {self.dtype} and --quantize int8: give one of them"
        if self.compact is False and self.format == "compact":
            yield "--no-compact and --format compact: one or the other"
        if self.compact and self.format == "sparse":
            yield "--compact: a sparse file holds the positions of what is left, and zeros take no room; leave it out"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        bytes: Of the files with weights.
        arithmetic: What compaction left; None without it.
        matrices: Of a sparse file: bytes of the pruned matrices in float32 and as written.
        difference: Largest one of any output from the saved model's; None for a sparse file.
    """

    folder: Path
    bytes: int
    dense_bytes: int
    arithmetic: Arithmetic | None
    matrices: dict[str, int] | None
    difference: float | None
    checked_on: str


def export(source: Source, wanted: Wanted, output: Path, note: Callable[[str], None]) -> Exported:
    """Write a folder with a model in a format; it is there whole or not at all.

    Args:
        output: The folder; an earlier export there is replaced.

    Raises:
        UserError: If something cannot work, or the export computes something else than the model.
    """
    if problems := list(wanted.problems()):
        raise UserError(*problems)
    if output.exists() and not (output / NOTE).is_file() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"--output {output} is there and is no export: give another folder, or remove it")
    if wanted.format in ("onnx", "openvino"):
        more = ("openvino", "nncf") if wanted.format == "openvino" else ()
        needed(f"--format {wanted.format}", wanted.format, "onnx", "onnxscript", "onnxruntime", *more)
    try:
        there, place = resolved(output), resolved(source.folder)
        if there in (place, *place.parents) or place in there.parents:
            raise UserError(
                f"--output {output} is the folder of the model itself, or one around it or in it: give another folder"
            )
        with filled(output) as temporary:
            exported = _filled(source, wanted, temporary, note)
            known_about = {
                **asdict(wanted),
                **{key: value for key, value in asdict(exported).items() if key != "folder"},
                "version": __version__,
            }
            write_text(temporary / NOTE, json.dumps(known_about, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"--output {output} cannot be written: {error.strerror}") from error
    except SafetensorError as error:
        where = f"--output {output} cannot be written" if "os error" in str(error) else f"{source.folder} cannot be read"
        raise UserError(f"{where}: {first_line(error)}") from error
    return Exported(**{**exported.__dict__, "folder": output})


def _filled(source: Source, wanted: Wanted, folder: Path, note: Callable[[str], None]) -> Exported:
    weights = sorted(source.folder.glob("*.safetensors"))
    _copy_beside(source.folder, folder)
    arithmetic, matrices, difference, checked_on = None, None, None, "nothing"
    if wanted.format == "sparse":
        note("writing positions and values")
        matrices = _sparse(weights, source.folder, folder, wanted)
    else:
        model = source.model()
        inputs, checked_on = _checked_on(source)
        note(f"reading {checked_on} with the saved model")
        expected = [outputs_of(model, batch) for batch in inputs]
        if wanted.compact or wanted.format == "compact" or (wanted.compact is None and has_rules(model)):
            note("cutting out what is empty")
            arithmetic = compact(model)
        if wanted.format == "compact":
            module = cast("torch.nn.Module", model)
            module.to(TORCH[wanted.dtype])
            model.save_pretrained(folder)
            written = load_compact(folder)  # what is written counts, not what it was written from
            cast("torch.nn.Module", written).to(torch.float32)
            outputs = [outputs_of(written, batch) for batch in inputs]
        else:
            outputs = _graphs(source, model, inputs, folder, wanted, note)
        difference = max(_difference(a, b, batch) for a, b, batch in zip(expected, outputs, inputs, strict=True))
        largest = max(float(value.abs().max()) for each in expected for value in each.values())
        exact = not wanted.int8 and wanted.dtype == "fp32"
        if exact and not difference <= _TOO_FAR[wanted.format] * max(1.0, largest):
            raise UserError(
                f"the exported model is off by {difference:.2g} on {checked_on}: nothing was written. This is a mistake of the"
                " exporter: try --no-compact, and report it"
            )
    write_text(folder / "README.md", readme(source, wanted.format))
    stored = [path for path in folder.iterdir() if path.suffix in (".safetensors", ".onnx", ".bin")]
    return Exported(
        folder=folder,
        bytes=sum(path.stat().st_size for path in stored),
        dense_bytes=sum(path.stat().st_size for path in weights),
        arithmetic=arithmetic,
        matrices=matrices,
        difference=difference,
        checked_on=checked_on,
    )


def _copy_beside(folder: Path, output: Path) -> None:
    """Copy configuration and tokenizer."""
    for path in folder.iterdir():
        if path.is_file() and path.suffix in (".json", ".txt", ".model", ".jinja") and ".index." not in path.name:
            shutil.copyfile(path, output / path.name)


def _checked_on(source: Source) -> tuple[list[Inputs], str]:
    if source.config is None:
        return [source.invented()], "invented words"
    inputs = list(source.inputs(RECORDS, 8))
    return inputs, f"{min(RECORDS, len(source.evaluated().records))} records"


def outputs_of(model: PreTrainedModel, inputs: Inputs) -> dict[str, torch.Tensor]:
    """The logits of a model, by name; of a vocabulary some words."""
    with torch.no_grad():
        outputs = model(**inputs)
    return {name: _some(outputs[name]) for name in ("logits", "start_logits", "end_logits") if name in outputs}


def _some(logits: torch.Tensor) -> torch.Tensor:
    """Every so many-th class of a large vocabulary: all logits of 200 texts would take gigabytes."""
    return logits if logits.ndim < 3 else logits[..., :: -(-logits.shape[-1] // _CLASSES)].clone()


def _difference(expected: Mapping[str, torch.Tensor], actual: Mapping[str, torch.Tensor], inputs: Inputs) -> float:
    """The largest difference, padding left out."""
    worst = 0.0
    for name, values in expected.items():
        apart = (values - actual[name]).abs()
        if apart.ndim >= 2 and "decoder_input_ids" not in inputs and apart.shape[:2] == inputs["attention_mask"].shape:
            apart = apart[inputs["attention_mask"].bool()]
        worst = max(worst, float(apart.max()))
    return worst


def _sparse(weights: list[Path], saved: Path, folder: Path, wanted: Wanted) -> dict[str, int]:
    from safetensors import safe_open

    def tensors() -> Iterator[tuple[str, torch.Tensor]]:
        for path in weights:
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118, it is no mapping
                    yield name, file.get_tensor(name)

    if not weights:
        raise UserError(f"{saved} has no *.safetensors")
    try:
        return write_sparse(tensors(), folder / FILE, dtype=wanted.dtype, int8=wanted.int8)
    except ValueError as error:
        raise UserError(f"--dtype {wanted.dtype}: {error}") from error


def _graphs(
    source: Source,
    model: PreTrainedModel,
    inputs: list[Inputs],
    folder: Path,
    wanted: Wanted,
    note: Callable[[str], None],
) -> list[dict[str, torch.Tensor]]:
    """Write the graphs, and what they give for the inputs."""
    from prune_cli.runtime import OnnxModel, OpenVinoModel

    padded = max(inputs, key=lambda batch: int((batch["attention_mask"] == 0).sum()))
    for number, graph in enumerate(graphs(model, padded)):
        note(f"writing {graph.name}")
        if wanted.format == "onnx":
            write_onnx(graph, folder / f"{graph.name}.onnx", int8=wanted.int8)
            continue
        calibration = None
        if wanted.int8:
            if source.config is None:
                raise UserError("--quantize int8 is calibrated on training records: give a run, or task=... data=...")
            trained = source.inputs(RECORDS, 1, split="train")
            calibration = [graphs(model, batch)[number].inputs for batch in trained]
        half = wanted.dtype == "fp16"
        write_openvino(graph, folder / f"{graph.name}.xml", half=half, calibration=calibration)
    note("comparing it with the saved model")
    runner = OnnxModel(folder) if wanted.format == "onnx" else OpenVinoModel(folder)
    try:
        outputs = [runner(**{key: each.numpy() for key, each in batch.items()}) for batch in inputs]
    except UserError as error:
        raise UserError(
            f"{type(model).__name__} was written for {wanted.format} in vain: {error}. --format sparse works with every"
            " architecture"
        ) from error
    return [{name: _some(torch.from_numpy(cast("Any", each))) for name, each in batch.items()} for batch in outputs]
