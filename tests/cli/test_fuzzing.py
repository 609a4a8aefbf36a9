"""A hundred random mutations of commands and records that work: none ends in a traceback, whatever else becomes of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Prune
from tests.tiers import quick

SEED = 20261126
COMMAND = (
    "run task=mrpc model=tiny_bert data=synthetic tracking=none sparsity=0.9 seed=1 criterion=pins schedule.delta_t=5"
    " criterion.beta1=0.85 schedule.initial=0.1 schedule.final=0.35 regularization=self regularization.temperature=2"
    " trainer.max_steps=60 trainer.batch_size=8 trainer.learning_rate=1e-4 trainer.warmup=0.1 task.max_length=64"
    " task.metrics=[f1,accuracy] task.evaluation_splits=[validation] data.train=40 data.validation=8"
).split()
RECORDS = [
    json.dumps({"sentence1": f"the {word} sat", "sentence2": f"a {word} sits", "label": number % 2})
    for number, word in enumerate("cat dog bird fish".split())
]
VALUES = (
    "", "null", "nan", "-inf", "-1", "0", "1.5", "1e400", "9" * 40, "true", "x", "[]", "[1,2]", "{a:1}", "a,b", "${seed}",
    "${x", "'", '"', "\\", "é", "[[1],[2]]", "range(1,3)", "~", "@", "../..", "x" * 400,
)  # fmt: skip


def mutated_word(word: str, fate: random.Random) -> str:
    """Another value, another key, or another text altogether."""
    key, sign, _ = word.partition("=")
    place = fate.randrange(len(word) + 1)
    return fate.choice(
        [
            f"{key}{sign}{fate.choice(VALUES)}",
            f"{key}{sign}{fate.choice(VALUES)}",
            f"{fate.choice(['+', '++', '~', '-'])}{word}",
            f"{key}.{fate.choice(['x', '_target_', 'name'])}={fate.choice(VALUES)}",
            word[:place] + chr(fate.randrange(32, 0x250)) + word[place:],
            word[:place] + word[place + 1 :],
            word[::-1],
        ]
    )


def mutated_line(line: str, fate: random.Random) -> bytes:
    """A byte that is another, more, or fewer of them; a value that is of another kind."""
    raw = bytearray(line.encode())
    place = fate.randrange(len(raw))
    match fate.randrange(5):
        case 0:
            raw[place] = fate.randrange(256)
        case 1:
            del raw[place : place + fate.randrange(1, 20)]
        case 2:
            raw[place:place] = bytes(fate.randrange(256) for _ in range(fate.randrange(1, 9)))
        case 3:
            row = json.loads(line)
            others = [None, -1, 2**70, 1.5, "1", [], {}, "\ud800", "\0", True]
            row[fate.choice([*row])] = fate.choice(others)
            return json.dumps(row).encode()
        case _:
            return json.dumps({name + fate.choice(["", "x"]): value for name, value in json.loads(line).items()}).encode()
    return bytes(raw)


def swapped(words: Sequence[Any], fate: random.Random, mutate: Callable[[Any, random.Random], Any]) -> list[Any]:
    """The words, one to three of which are mutated."""
    changed = [*words]
    for place in fate.sample(range(len(changed)), min(fate.randint(1, 3), len(changed))):
        changed[place] = mutate(words[place], fate)
    return changed


@pytest.fixture(autouse=True)
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not refused need not be trained here."""
    monkeypatch.setattr("prune_cli.run.run.learn", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))


def ends_well(prune: Prune, words: Sequence[str]) -> None:
    ended = prune(*words)
    told = f"{words}\n{ended.code}\n{ended.err[-2000:]}"
    assert ended.code in (0, 2, 3, 130), told
    assert "Traceback" not in ended.err + ended.out, told
    assert ended.code == 0 or ended.err.strip(), told


@pytest.mark.parametrize("number", quick(range(12), range(60)))
def test_a_mutated_command(number: int, prune: Prune) -> None:
    fate = random.Random(f"{SEED} command {number}")
    ends_well(prune, ["run", *swapped(COMMAND[1:], fate, mutated_word)])


@pytest.mark.parametrize("number", quick(range(8), range(40)))
def test_mutated_records(number: int, prune: Prune, tmp_path: Path) -> None:
    fate = random.Random(f"{SEED} records {number}")
    for split in ("train", "validation"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(RECORDS))
    lines = swapped(RECORDS, fate, lambda line, fate: mutated_line(line, fate).decode("latin-1"))
    (tmp_path / "train.jsonl").write_bytes("\n".join(lines).encode("latin-1"))
    words = [word for word in COMMAND if not word.startswith("data")]
    ends_well(prune, [*words, "data=local", f"data.path={tmp_path}"])
