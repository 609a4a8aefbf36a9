"""What is evaluated, in which order, and that outputs find back to their records."""

from __future__ import annotations

from typing import Any

import numpy as np
from datasets import Dataset

from prune_cli.training.evaluation import Evaluation, EvaluationSet


class Echo:
    """A task whose inputs are as long as its records say, and whose prediction is the output."""

    evaluation_splits = ("validation", "validation_other")

    def __init__(self, most: int | None = None) -> None:
        self.evaluation_records = most
        self.encoded = 0

    def examples(self, records: Dataset) -> Dataset:
        return records

    def encode(self, records: Dataset, tokenizer: Any, *, training: bool) -> Dataset:
        assert not training
        self.encoded += 1
        return Dataset.from_dict({"length": records["length"][:], "record": list(range(len(records)))})

    def predictions(self, outputs: Any, encoded: Dataset, records: Dataset, tokenizer: Any) -> list[Any]:
        return [{"made": made, "of": of} for made, of in zip(outputs[0].tolist(), records["length"][:], strict=True)]


def records(*lengths: int) -> Dataset:
    return Dataset.from_dict({"length": list(lengths)})


def make(task: Any, lengths: tuple[int, ...]) -> Evaluation:
    return Evaluation(task, dict.fromkeys(task.evaluation_splits, records(*lengths)), None)  # pyright: ignore


def test_batches_come_shortest_first_and_outputs_find_back() -> None:
    examples = EvaluationSet(Echo(), records(5, 1, 3, 1), None)  # pyright: ignore
    lengths = [int(record["length"]) for record in examples.batches.__getitems__(range(4))]
    assert lengths == [1, 1, 3, 5]
    made = examples.predictions((np.asarray(lengths),))
    assert [row["made"] for row in made] == [row["of"] for row in made] == [5, 1, 3, 1]


def test_batches_are_filled_with_short_records_up_to_what_the_longest_take() -> None:
    examples = EvaluationSet(Echo(), records(*[1] * 10, *[2] * 3, *[4] * 3), None)  # pyright: ignore
    assert examples.parts(2, filled=False) == [range(start, start + 2) for start in range(0, 16, 2)]
    # four times as many of the shortest, as many as take eight tokens of the others
    assert examples.parts(2, filled=True) == [range(8), range(8, 12), range(12, 14), range(14, 16)]


def test_a_part_is_the_same_sample_every_time_and_the_end_takes_all() -> None:
    evaluation, again = (make(Echo(most=3), (0, 1, 2, 3, 4, 5, 6)) for _ in range(2))
    part, whole = evaluation.sets(whole=False), evaluation.sets(whole=True)
    assert list(part) == list(whole) == ["validation", "validation_other"]
    drawn = part["validation"].records["length"][:]
    assert drawn == sorted(set(drawn)) == again.sets(whole=False)["validation"].records["length"][:]
    assert len(drawn) == 3
    assert drawn != [0, 1, 2]
    assert len(whole["validation"].records) == 7


def test_sets_are_encoded_once_and_only_when_asked_for() -> None:
    task = Echo(most=3)
    evaluation = make(task, (1, 2, 3, 4))
    assert evaluation.sets(whole=False)["validation"] is evaluation.sets(whole=False)["validation"]
    assert task.encoded == 0
    for _ in range(3):
        assert len(evaluation.sets(whole=False)["validation"].batches) == 3
    assert task.encoded == 1
    everything = make(Echo(), (1, 2))
    assert everything.sets(whole=False)["validation"] is everything.sets(whole=True)["validation"]
