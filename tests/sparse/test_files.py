"""Sparse files: round trips of every architecture, narrower types, and files that nobody should trust."""

from __future__ import annotations

import json
import re
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from prune_cli.errors import UserError
from prune_cli.pruning.scope import prunable_weights
from prune_cli.runtime import load_sparse
from prune_cli.runtime.sparse import FILE
from prune_cli.sparse.reader import FORMAT, BrokenFile, crc32, opened
from prune_cli.sparse.writer import write_sparse
from tests.compaction.architectures import ARCHITECTURES, tiny


def _bits(tensor: Tensor) -> Tensor:
    return tensor.view(torch.int32) if tensor.dtype == torch.float32 else tensor


def _saved(name: str, folder: Path, sparsity: float = 0.9, **options) -> dict[str, Tensor]:
    """A model of a saved folder, its sparse file beside its configuration."""
    tiny(name, sparsity).save_pretrained(folder / "dense")
    tensors = load_file(folder / "dense" / "model.safetensors")
    shutil.copy(folder / "dense" / "config.json", folder)
    write_sparse(tensors.items(), folder / FILE, **options)
    return tensors


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_round_trip_bit_for_bit(name: str, sparsity: float, tmp_path: Path) -> None:
    _saved(name, tmp_path, sparsity)
    dense, loaded = tiny(name, sparsity), load_sparse(tmp_path)
    assert type(loaded) is type(dense)
    state = loaded.state_dict()
    assert state.keys() == dense.state_dict().keys()
    for key, value in dense.state_dict().items():
        assert torch.equal(_bits(state[key]), _bits(value)), key


def test_negative_zeros_infinities_and_denormals_stay(tmp_path: Path) -> None:
    matrix = torch.zeros(4, 8)
    matrix[0, 1], matrix[1, 2], matrix[2, 3], matrix[3, 7] = -0.0, float("inf"), float("nan"), 1e-45
    write_sparse([("w", matrix)], tmp_path / FILE)
    file = opened(tmp_path / FILE)
    assert list(file.matrices) == ["w"]
    assert np.array_equal(file.tensor("w").view(np.int32), matrix.numpy().view(np.int32))


@pytest.mark.parametrize(("dtype", "bits"), [("fp16", 11), ("bf16", 8)])
def test_half_precision_rounds_once(dtype, bits: int, tmp_path: Path) -> None:
    tensors = _saved("bert", tmp_path, dtype=dtype)
    state = load_sparse(tmp_path).state_dict()
    for key, value in tensors.items():
        assert torch.equal(state[key] == 0, value == 0), key
        torch.testing.assert_close(state[key], value, rtol=2.0**-bits, atol=1e-7)


def test_what_is_read_is_float32_and_sizes_add_up(tmp_path: Path) -> None:
    matrix = torch.zeros(4, 8)
    matrix[1, 2] = 1.5
    size = write_sparse([("w", matrix), ("v", matrix), ("dense", torch.ones(3))], tmp_path / FILE, dtype="fp16")
    file = opened(tmp_path / FILE)
    assert [file.tensor(name).dtype for name in ("w", "v", "dense")] == [np.float32] * 3
    assert size["dense"] == 2 * 4 * 32
    alone = write_sparse([("w", matrix)], tmp_path / FILE, dtype="fp16")
    assert size["sparse"] == 2 * alone["sparse"]


def test_int8_has_a_scale_for_each_row(tmp_path: Path) -> None:
    tensors = _saved("bert", tmp_path, int8=True)
    pruned = set(opened(tmp_path / FILE).matrices)
    state = load_sparse(tmp_path).state_dict()
    assert len(pruned) == 12
    for key, value in tensors.items():
        if key in pruned:
            step = value.abs().amax(1, keepdim=True) / 127
            assert bool(((state[key] - value).abs() <= 0.5001 * step).all()), key
        else:
            assert torch.equal(state[key], value), key


def test_a_value_that_half_precision_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="w holds a value that fp16 has no place for"):
        write_sparse([("w", torch.full((4, 4), 1e6))], tmp_path / FILE, dtype="fp16")
    write_sparse([("w", torch.full((4, 4), 1e6))], tmp_path / FILE, dtype="bf16")


def test_the_file_is_as_small_as_promised(tmp_path: Path) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(768, 3072).masked_fill(torch.rand(768, 3072) < 0.9, 0)
    lossless, half, eight = (
        write_sparse([("w", matrix)], tmp_path / FILE, **options)  # pyright: ignore
        for options in ({}, {"dtype": "fp16"}, {"int8": True})
    )
    assert lossless["dense"] / lossless["sparse"] >= 7.5
    assert half["dense"] / half["sparse"] >= 12
    assert eight["dense"] / eight["sparse"] >= 20


def test_what_does_not_go_with_the_configuration_is_refused(tmp_path: Path) -> None:
    tensors = _saved("bert", tmp_path)
    first = "bert.encoder.layer.0.output.dense.weight"
    write_sparse({**tensors, first: torch.zeros(1 << 12, 1 << 12)}.items(), tmp_path / FILE)
    with pytest.raises(UserError, match="other shapes than those of the model"):
        load_sparse(tmp_path)
    write_sparse([(name, tensor) for name, tensor in tensors.items() if name != first], tmp_path / FILE)
    with pytest.raises(UserError, match=r"it lacks bert\.encoder\.layer\.0\.output"):
        load_sparse(tmp_path)
    with pytest.raises(UserError, match="cannot be loaded"):
        load_sparse(tmp_path / "dense")


def _rewritten(path: Path, change) -> None:
    """Change the stored tensors, or the list of matrices, and make the checksum right again."""
    file = opened(path)
    stored = {name: torch.from_numpy(file.stored(name).copy()) for name in file.header}
    matrices = {name: dict(about) for name, about in file.matrices.items()}
    change(stored, matrices)
    known = json.dumps(matrices)
    about = {"format": "prune-lm sparse", "version": "1", "matrices": known, "crc32": "0" * 8}
    save_file(stored, path, about)
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    sum_ = crc32(known, whole[start:]).encode()
    path.write_bytes(whole.replace(b'"crc32":"00000000"', b'"crc32":"' + sum_ + b'"', 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, m: m["w"].update(shape=[1 << 30, 1 << 30]), "too few"),
        (lambda s, m: m["w"].update(shape=[2, 4]), "values in a matrix of 8"),
        (lambda s, m: m["w"].update(shape=[-64, -64]), "w: "),
        (lambda s, m: m["w"].update(shape="64"), "cannot be read"),
        (lambda s, m: m["w"].update(shape=[64.0, 64]), "cannot be read"),
        (lambda s, m: m["w"].update(values="I8"), "type F32"),
        (lambda s, m: m["w"].update(positions="pickle"), "no encoding"),
        (lambda s, m: m["w"].update(more=1), "cannot be read"),
        (lambda s, m: s.pop("w#values"), "w: "),
        (lambda s, m: s.update({"w#values": s["w#values"][:-1].clone()}), "w: "),
        (lambda s, m: s.update({"w#positions": s["w#positions"][:-3].clone()}), "w: "),
        (lambda s, m: s.update({"w#positions": s["w#positions"].to(torch.int64)}), "w: "),
    ],
)  # fmt: skip
def test_a_hostile_file_with_a_right_checksum_is_refused(change, message: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / FILE
    write_sparse([("w", torch.randn(64, 64).masked_fill(torch.rand(64, 64) < 0.9, 0))], path)
    _rewritten(path, change)
    with pytest.raises(BrokenFile, match=message):
        opened(path).tensor("w")


def test_thousands_of_damaged_files_are_refused_or_read_without_harm(tmp_path: Path) -> None:
    """Bytes changed, cut off, put in or doubled, half of the time with the checksum made right."""
    import os

    torch.manual_seed(0)
    path = tmp_path / FILE
    tensors = [
        ("a", torch.randn(48, 64).masked_fill(torch.rand(48, 64) < 0.9, 0)),
        ("b", torch.randn(16, 64).masked_fill(torch.rand(16, 64) < 0.3, 0)),
        ("c", torch.randn(10)),
    ]
    write_sparse(tensors, path, int8=True)
    good = path.read_bytes()
    random = np.random.default_rng(int(os.environ.get("FUZZ_SEED", "0")))
    refused = 0
    count = int(os.environ.get("FUZZED_FILES", "3000"))
    tracemalloc.start()
    for _ in range(count):
        path.write_bytes(_damaged(good, random))
        try:
            file = opened(path)
            for name in file.names():
                file.tensor(name)
        except BrokenFile:
            refused += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > count / 4
    assert peak < 2_000 * len(good)


def _damaged(good: bytes, random: np.random.Generator) -> bytes:
    data = bytearray(good)
    for _ in range(random.integers(1, 4)):
        place = int(random.integers(0, len(data)))
        match random.integers(0, 4):
            case 0:
                data[place] = random.integers(0, 256)
            case 1:
                del data[place : place + int(random.integers(1, 200))]
            case 2:
                data[place:place] = random.bytes(int(random.integers(1, 50)))
            case _:
                data[place : place + 1] = bytes([int(random.choice(list(b'0123456789"[]{},:-')))])
        if not data:
            return b""
    length = int.from_bytes(data[:8], "little")
    if random.random() < 0.5 and length < len(data):
        try:
            about = json.loads(data[8 : 8 + length])["__metadata__"]
            right = crc32(about["matrices"], bytes(data[8 + length :]))
            data = data.replace(about["crc32"].encode(), right.encode(), 1)
        except (ValueError, KeyError, TypeError, AttributeError):
            return bytes(data)
    return bytes(data)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"{" * 100)
    with pytest.raises(BrokenFile, match=re.escape(f"{path}: ")):
        opened(path)
    save_file({"w": torch.ones(2)}, path, {"format": "pt"})
    with pytest.raises(BrokenFile, match=re.escape(f"{path} is no sparse file of version 1: None")):
        opened(path)
    save_file({"w": torch.ones(2)}, path, {"format": FORMAT, "version": "2"})
    with pytest.raises(BrokenFile, match=r"of version 1: 2$"):
        opened(path)


def test_what_is_no_float32_stays_and_a_checksum_is_compared(tmp_path: Path) -> None:
    path = tmp_path / FILE
    write_sparse([("w", torch.zeros(4, 8)), ("positions", torch.arange(3))], path, dtype="fp16")
    assert opened(path).tensor("positions").dtype == np.int64
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BrokenFile):
        opened(path)
    opened(path, verify=False)


@pytest.mark.parametrize("kind", ["mixtral", "gpt_oss"])  # a file with a matrix for each expert; one with stacks of them
@pytest.mark.parametrize("options", [{}, {"int8": True}])
def test_experts_are_sparse_too(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 4, "vocab_size": 20}
    config = AutoConfig.for_model(
        kind, **sizes, num_key_value_heads=1, intermediate_size=16, num_local_experts=3, layer_types=["full_attention"]
    )
    model = AutoModelForCausalLM.from_config(config)
    for weight in prunable_weights(model).values():
        weight.mul_(torch.rand(weight.shape) > 0.9)
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    write_sparse(tensors.items(), tmp_path / FILE, **options)
    assert sum("experts" in name and "bias" not in name for name in opened(tmp_path / FILE).matrices) == (
        9 if kind == "mixtral" else 2
    )
    loaded = load_sparse(tmp_path).state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded[name], value, rtol=0, atol=float(value.abs().max()) / 250 if options else 0)
