"""What a student learns of its teacher's states: which they are, how far apart, and that padding and batches change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

from prune_cli.distillation.states import State, distance, read, state_problems
from prune_cli.errors import UserError
from prune_cli.heads.base import Head
from prune_cli.heads.classification import Classification
from prune_cli.heads.text import Text
from tests.tiers import exhaustive
from tests.whole_runs import Killed, assert_same_end, dies, do, history_of

WORDS = 20
SIZES: dict[str, dict[str, Any]] = {
    "bert": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    "deberta-v2": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
    "llama": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    "opt": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 32, "word_embed_proj_dim": 16},
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2},
    "bart": {
        "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
    },
}  # fmt: skip
EXPECTED = dict.fromkeys(SIZES, (2, 2)) | {"t5": (4, 6), "bart": (2, 3)}
"""Blocks and attentions; a decoder beside an encoder has two attentions a block."""


def made(kind: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    special = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1, "decoder_start_token_id": 0}
    config = AutoConfig.for_model(kind, vocab_size=WORDS, **SIZES[kind], **special)
    auto = AutoModelForSequenceClassification if "bert" in kind else AutoModelForCausalLM
    return (AutoModelForSeq2SeqLM if config.is_encoder_decoder else auto).from_config(config).eval()


def head_of(kind: str) -> Head[Any]:
    return Classification() if "bert" in kind else Text(max_new_tokens=4, beams=1)


def batch_of(kind: str, *lengths: int) -> dict[str, Any]:
    """Rows of so many tokens each, the same for the same length; a text has half as many again to write."""

    def row(length: int, most: int, fill: int) -> Tensor:
        tokens = torch.arange(length) % (WORDS - 2) + 2
        return nn.functional.pad(tokens, (0, most - length), value=fill)

    most = max(lengths)
    ids = torch.stack([row(length, most, 0) for length in lengths])
    mask = torch.stack([torch.arange(most) < length for length in lengths]).long()
    if "bert" in kind:
        return {"input_ids": ids, "attention_mask": mask, "labels": torch.ones(len(lengths), dtype=torch.long)}
    targets = torch.stack([row(length // 2, most // 2, -100) for length in lengths])
    places = (targets != -100).nonzero().T
    longest = most + most // 2
    return {"source": ids, "source_mask": mask, "labels": targets, "labelled": places, "longest": longest}


def apart(kind: str, batch: dict[str, Any], what: Any = "hidden") -> Tensor:
    """How far two models of a kind are from each other on a batch."""
    mine, theirs = (read(made(kind, seed), head_of(kind), batch, [what]) for seed in (1, 2))
    return distance(mine.states[what], theirs.states[what])


@pytest.mark.parametrize("kind", SIZES)
def test_a_state_for_each_block_and_each_attention(kind: str) -> None:
    model, head, batch = made(kind), head_of(kind), batch_of(kind, 6, 4)
    reading = read(model, head, batch, ["hidden", "attention"])
    assert (len(reading.states["hidden"]), len(reading.states["attention"])) == EXPECTED[kind]
    assert all(values.shape == (*mask.shape, 16) for found in reading.states.values() for values, mask in found)
    plain = head.decisions(head.outputs(model, batch), batch)
    torch.testing.assert_close(reading.decisions[0].logits, plain[0].logits, rtol=0, atol=0)  # type: ignore[union-attr]
    assert not any(module._forward_hooks for module in model.modules()), "hooks are there while it reads, and no longer"
    assert read(model, head, batch).states == {}


@pytest.mark.parametrize("kind", ["t5", "bart", "gpt2"])
def test_each_stack_has_the_padding_of_what_it_reads(kind: str) -> None:
    """Sources of 10 and 4 tokens and half as many to write; a decoder alone reads both, one behind the other."""
    found = read(made(kind), head_of(kind), batch_of(kind, 10, 4), ["hidden"]).states["hidden"]
    read_tokens = [mask.sum(1).tolist() for _, mask in found]
    half = len(found) // 2
    assert read_tokens == ([[15, 6]] * 2 if kind == "gpt2" else [[10, 4]] * half + [[5, 2]] * half)


@pytest.mark.parametrize("what", ["hidden", "attention"])
@pytest.mark.parametrize("kind", SIZES)
def test_padding_counts_for_nothing_and_rows_add_up(kind: str, what: str) -> None:
    whole = apart(kind, batch_of(kind, 10, 4, 6), what)
    parts = [apart(kind, batch_of(kind, length), what) for length in (10, 4, 6)]
    torch.testing.assert_close(whole, torch.stack(parts).sum(), rtol=1e-4, atol=1e-5)
    assert whole > 0.1


def test_same_as_the_formula() -> None:
    random = np.random.default_rng(0)
    student, teacher = random.normal(size=(2, 3, 4, 5, 6))  # layers, rows, tokens, width
    mask = np.arange(5) < np.array([5, 3, 1, 4])[:, None]
    expected = 0.0
    for row in range(4):
        of_layers = []
        for layer in range(3):
            mine, theirs = (states[layer, row][mask[row]] for states in (student, teacher))
            of_layers.append(((mine - theirs) ** 2).mean() / (theirs**2).mean())
        expected += np.sum(of_layers)
    mine, theirs = (
        [State(torch.tensor(layer, dtype=torch.float32), torch.tensor(mask)) for layer in states] for states in (student, teacher)
    )
    assert distance(mine, theirs).item() == pytest.approx(expected, rel=1e-5)


def test_a_teacher_that_puts_out_nothing_teaches_nothing() -> None:
    mask = torch.ones(2, 3, dtype=torch.bool)
    student = torch.randn(2, 3, 4, requires_grad=True)
    far = distance([State(student, mask)], [State(torch.zeros(2, 3, 4), mask)])
    far.backward()
    assert far == 0 and student.grad is not None and not student.grad.any()


@pytest.mark.parametrize("kind", ["bert", "gpt2", "bart"])
def test_activations_that_are_computed_again_have_the_same_gradient(kind: str) -> None:
    gradients = []
    batch, head = batch_of(kind, 6, 4), head_of(kind)
    taught = read(made(kind, 2), head, batch, ["hidden", "attention"])
    for again in (False, True):
        student = made(kind, 1)
        if again:
            student.activation_checkpointing_enable()
        for module in student.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        student.train()
        states = read(student, head, batch, ["hidden", "attention"]).states
        sum(distance(states[what], [State(v.detach(), t) for v, t in taught.states[what]]) for what in states).backward()  # type: ignore[union-attr]
        gradients.append({name: p.grad for name, p in student.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name in gradients[0]:
        torch.testing.assert_close(gradients[0][name], gradients[1][name])


def test_models_of_another_form_are_told() -> None:
    assert not list(state_problems(made("bert"), made("bert", 1), ["hidden", "attention"]))
    (told,) = state_problems(made("bert"), made("t5"), ["hidden"])
    assert told.startswith("regularization.hidden compares 2 layers of width 16 with the first teacher's 4 of width 16")
    blocks = nn.Module()
    blocks.layers = nn.ModuleList([nn.Linear(2, 2)])
    (told,) = state_problems(blocks, blocks, ["attention"])  # type: ignore[arg-type]
    assert told == "regularization.attention: Module has no module that is called its attention, set it to 0"


STATES = ("regularization.hidden=1", "regularization.attention=0.5", "trainer.max_steps=30", "trainer.eval_steps=10")


def test_a_run_learns_from_states_and_resumes_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prune_cli.training import checkpoints

    plain = do(tmp_path / "plain", *STATES[2:])
    undisturbed = do(tmp_path / "undisturbed", *STATES)
    losses = [[record["loss"] for record in history_of(run) if "loss" in record] for run in (plain, undisturbed)]
    assert losses[0][0] == losses[1][0] and losses[0][-1] < losses[1][-1], "one more term once there is a teacher"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checkpoints.Checkpoints, "write", dies(checkpoints.Checkpoints.write, 2))
        do(tmp_path / "killed", *STATES)
    assert_same_end(undisturbed, do(tmp_path / "killed", *STATES))


@exhaustive
def test_accumulated_batches_equal_a_larger_one(tmp_path: Path) -> None:
    still = ["model.random.hidden_dropout_prob=0", "model.random.attention_probs_dropout_prob=0", "trainer.log_steps=1"]
    still = [f"+{option}" if "model" in option else option for option in still]
    teacher = do(tmp_path / "teacher", *still, "sparsity=0", "regularization=none", "trainer.max_steps=1", "seed=7")
    once = [
        *still,
        "sparsity=0",
        *STATES[:2],
        "trainer.max_steps=1",
        f"regularization.first_teacher={teacher.folder / 'model'}",
    ]
    whole = do(tmp_path / "whole", *once, "trainer.batch_size=8")
    parts = do(tmp_path / "parts", *once, "trainer.batch_size=4", "trainer.gradient_accumulation=2")
    without = do(tmp_path / "without", *once, "trainer.batch_size=8", "regularization.hidden=0", "regularization.attention=0")
    losses = [history_of(run)[0]["loss"] for run in (whole, parts, without)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0] > losses[2] + 0.1


def test_a_first_teacher_of_another_form_is_refused(tmp_path: Path) -> None:
    teacher = do(
        tmp_path / "teacher",
        "sparsity=0",
        "regularization=none",
        "trainer.max_steps=1",
        "model.random.num_hidden_layers=1",
    )
    folder = f"regularization.first_teacher={teacher.folder / 'model'}"
    with pytest.raises(UserError, match=r"regularization\.hidden compares 2 layers of width 32 with the first teacher's 1"):
        do(tmp_path, folder, "regularization.hidden=1")
