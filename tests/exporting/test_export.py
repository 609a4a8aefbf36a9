"""Exports of every kind of model, checked by what they compute and by the programs in their READMEs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from prune_cli.cli.app import app
from prune_cli.errors import UserError
from prune_cli.exporting import export as exporting
from prune_cli.exporting.export import NOTE, Format, Wanted, export
from prune_cli.exporting.source import Source
from prune_cli.runtime import OnnxModel, OpenVinoModel, load_compact, load_sparse
from tests.exporting.conftest import KINDS
from tests.tiers import exhaustive, quick

Sources = Callable[[str], Source]


def _quietly(_: str) -> None: ...


def _programs(folder: Path) -> list[str]:
    """The programs in a README."""
    return re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)


def _said(program: str, folder: Path, tmp_path: Path) -> str:
    """What a program prints, run beside the export, where none of the training stack may be imported."""
    script = folder / "program.py"
    forbidden = "import sys\nfor name in ('hydra', 'wandb', 'datasets', 'accelerate', 'typer'):\n    sys.modules[name] = None\n"
    script.write_text(forbidden + program)
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_compact_and_sparse_models_of_every_kind(source: Sources, kind: str, tmp_path: Path) -> None:
    of = source(kind)
    dense, inputs = of.model(), of.invented()
    made = export(of, Wanted(format="compact"), tmp_path / "compact", _quietly)
    assert made.arithmetic is not None
    assert made.arithmetic.share < 0.9
    assert made.difference is not None
    assert made.difference < 1e-5
    loaded = load_compact(made.folder)
    loaded.set_attn_implementation("eager")
    for name, value in exporting.outputs_of(dense, inputs).items():
        there = slice(None) if kind in ("classes", "number", "seq2seq") else inputs["attention_mask"].bool()
        torch.testing.assert_close(exporting.outputs_of(loaded, inputs)[name][there], value[there], rtol=1e-5, atol=1e-5)

    made = export(of, Wanted(format="sparse"), tmp_path / "sparse", _quietly)
    assert made.matrices is not None
    assert made.matrices["dense"] > 10 * made.matrices["sparse"]
    state = load_sparse(made.folder).state_dict()
    assert all(torch.equal(state[name], value) for name, value in dense.state_dict().items())


@pytest.mark.parametrize("kind", quick(["classes", "text"], ["classes", "tokens", "spans", "text", "seq2seq"]))
def test_an_onnx_file_of_every_kind_and_the_programs_that_run_it(source: Sources, kind: str, tmp_path: Path) -> None:
    made = export(source(kind), Wanted(format="onnx"), tmp_path / "onnx", _quietly)
    assert made.difference is not None
    assert made.difference < 1e-4
    programs = _programs(made.folder)
    assert len(programs) == (1 if kind in ("text", "seq2seq") else 2)
    for program in programs:
        assert _said(program, made.folder, tmp_path).strip() or kind in ("spans", "text", "seq2seq")
    if kind in ("text", "seq2seq"):
        _writes_what_the_model_writes(source(kind), OnnxModel(made.folder), begun=kind == "seq2seq")


def _writes_what_the_model_writes(source: Source, graphs: OnnxModel, *, begun: bool) -> None:
    model, vocabulary = source.model(), source.tokenizer.get_vocab()
    end, start = vocabulary["</s>"], vocabulary["<pad>"] if begun else None
    for text in ("Ada wrote it .", "Who wrote", "a text that nobody wrote"):
        ids = source.tokenizer(text)["input_ids"]
        inputs = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
        (expected,) = model.generate(**inputs, max_new_tokens=12, do_sample=False)  # pyright: ignore
        new = (expected[1:] if begun else expected[len(ids) :]).tolist()
        assert graphs.generate(ids, end=end, most=12, start=start) == [token for token in new if token != end]


@exhaustive
def test_an_openvino_file_and_the_program_that_runs_it(source: Sources, tmp_path: Path) -> None:
    made = export(source("classes"), Wanted(format="openvino"), tmp_path / "openvino", _quietly)
    assert made.difference is not None
    assert made.difference < 1e-4
    (program,) = _programs(made.folder)
    _said(program, made.folder, tmp_path)
    half = export(source("classes"), Wanted(format="openvino", dtype="fp16"), tmp_path / "half", _quietly)
    assert half.bytes < 0.6 * made.bytes


@pytest.mark.parametrize(
    ("kind", "form"),
    quick(
        [("tokens", "compact")],
        [("tokens", "compact"), ("text", "compact"), ("seq2seq", "sparse"), ("spans", "sparse")],
    ),
)
def test_the_programs_of_models_in_torch(source: Sources, kind: str, form, tmp_path: Path) -> None:
    made = export(source(kind), Wanted(format=form), tmp_path / form, _quietly)
    (program,) = _programs(made.folder)
    _said(program, made.folder, tmp_path)


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "y")
    (tmp_path / "theirs.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\nclass C: ...\n")
    config = {"model_type": "theirs", "architectures": ["BertModel"], "auto_map": {"AutoConfig": "theirs.C"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(UserError, match="custom code"):
        _ = Source(tmp_path, None).model_config
    assert not (tmp_path / "ran").exists()


def test_graphs_need_neither_torch_nor_transformers() -> None:
    script = "import sys; from prune_cli.runtime import OnnxModel; print({*sys.modules} & {'torch', 'transformers'})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_int8_file_is_smaller_and_near(source: Sources, tmp_path: Path) -> None:
    plain = export(source("classes"), Wanted(format="onnx", compact=False), tmp_path / "plain", _quietly)
    assert plain.arithmetic is None
    int8 = export(source("classes"), Wanted(format="onnx", compact=False, int8=True), tmp_path / "int8", _quietly)
    assert int8.bytes < plain.bytes
    assert int8.difference is not None
    assert plain.difference is not None
    assert plain.difference < int8.difference < 1


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_a_compact_model_in_half_precision(source: Sources, dtype, tmp_path: Path) -> None:
    whole = export(source("classes"), Wanted(format="compact"), tmp_path / "whole", _quietly)
    half = export(source("classes"), Wanted(format="compact", dtype=dtype), tmp_path / "half", _quietly)
    assert half.bytes < 0.7 * whole.bytes
    assert load_compact(half.folder).dtype == {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "tflite"}, "one of compact, sparse, onnx, openvino"),
        ({"format": "onnx", "dtype": "fp16"}, "onnx takes fp32"),
        ({"format": "compact", "int8": True}, "a compact model is one of PyTorch"),
        ({"format": "compact", "compact": False}, "one or the other"),
        ({"format": "sparse", "compact": True}, "leave it out"),
        ({"format": "openvino", "dtype": "fp16", "int8": True}, "give one of them"),
    ],
)
def test_what_does_not_go_together_is_told(source: Sources, options, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        export(source("classes"), Wanted(**options), tmp_path / "out", _quietly)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_export_is_left_alone(source: Sources, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is there and is no export"):
        export(source("classes"), Wanted(format="sparse"), tmp_path, _quietly)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_export_replaces_an_earlier_one(source: Sources, tmp_path: Path) -> None:
    for dtype in ("fp32", "fp16"):
        export(source("classes"), Wanted(format="sparse", dtype=dtype), tmp_path / "out", _quietly)
        assert json.loads((tmp_path / "out" / NOTE).read_text())["dtype"] == dtype
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_export_that_computes_something_else_is_not_written(
    source: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(model):
        from prune_cli.compaction.compact import compact

        left = compact(model)
        model.classifier.bias.data += 1
        return left

    monkeypatch.setattr(exporting, "compact", broken)
    with pytest.raises(UserError, match="is off by 1 on invented words"):
        export(source("classes"), Wanted(format="compact"), tmp_path / "out", _quietly)
    assert list(tmp_path.iterdir()) == []


def test_a_torn_model_is_told(source: Sources, saved: Callable[[str], Path], tmp_path: Path) -> None:
    import shutil

    torn = tmp_path / "torn"
    shutil.copytree(saved("classes"), torn)
    (torn / "model.safetensors").write_bytes(b"{" * 100)
    for form in ("compact", "sparse"):
        with pytest.raises(UserError, match=r"torn cannot be (read|loaded)"):
            export(Source(torn, None), Wanted(format=form), tmp_path / "out", _quietly)
    assert [path.name for path in tmp_path.iterdir()] == ["torn"]


def test_a_missing_package_is_told_with_its_extra(source: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'prune-lm\[onnx\]'"):
        export(source("classes"), Wanted(format="onnx"), tmp_path / "out", _quietly)
    with pytest.raises(UserError, match=r"OnnxModel needs an extra: pip install 'prune-lm\[runtime\]'"):
        OnnxModel(tmp_path)


@pytest.mark.parametrize(("model", "file"), [(OnnxModel, "model.onnx"), (OpenVinoModel, "model.xml")])
def test_a_torn_graph_is_told(model: type[OnnxModel | OpenVinoModel], file: str, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(b"{" * 100)
    with pytest.raises(UserError, match=r"cannot be loaded: \S") as refused:
        model(tmp_path)
    assert "\n" not in str(refused.value)


def test_int8_of_openvino_needs_records(source: Sources, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="calibrated on training records"):
        export(source("classes"), Wanted(format="openvino", int8=True), tmp_path / "out", _quietly)


def test_the_command(saved: Callable[[str], Path], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", str(saved("classes")), "-f", "sparse", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "times smaller than their" in done.output
    done = CliRunner().invoke(app, ["export", str(tmp_path), "-f", "sparse"])
    assert isinstance(done.exception, UserError)
    assert "no run folder, and has no model" in str(done.exception)
    done = CliRunner().invoke(app, ["export", str(saved("classes")), "--quantize", "int4"])
    assert isinstance(done.exception, UserError)


@exhaustive
@pytest.mark.parametrize("task", ["mrpc", "conll2003", "squad", "web_nlg"])
def test_real_records_of_every_family(task: str, saved: Callable[[str], Path], real_data: Path, tmp_path: Path) -> None:
    from prune_cli.cli.exporting import source_of

    kind = {"mrpc": "classes", "conll2003": "conll", "squad": "spans", "web_nlg": "text"}[task]
    folder = saved(kind)
    of = source_of(folder, [f"task={task}", "data=local", f"data.path={real_data / task}"])
    limits: dict[Format, float] = {"compact": 1e-5, "onnx": 1e-4}
    for form, most in limits.items():
        made = export(of, Wanted(format=form), tmp_path / form, _quietly)
        assert made.checked_on == "200 records"
        assert made.difference is not None
        assert made.difference < most
        assert made.arithmetic is not None
        assert made.arithmetic.share < 0.9
