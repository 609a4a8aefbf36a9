"""The Hugging Face Trainer with a task's metrics and a teacher's loss."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from transformers import DataCollatorWithPadding, PrinterCallback, Trainer

from prune_cli.training.sampler import EpochSampler

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor, nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback, TrainingArguments

    from prune_cli.tasks.base import Task
    from prune_cli.training.checkpoints import Checkpoints
    from prune_cli.training.teacher import Teacher


class EvaluationSet(NamedTuple):
    """One split ready to be evaluated, shortest inputs first."""

    encoded: Dataset
    records: Dataset


class TaskTrainer(Trainer):
    """A Trainer that evaluates by a task's own metrics, and whose evaluations leave no trace in the random state."""

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        *,
        task: Task,
        tokenizer: PreTrainedTokenizerBase,
        evaluation: Mapping[str, EvaluationSet],
        train: Dataset | None = None,
        callbacks: list[TrainerCallback] | None = None,
        label_order: list[int] | None = None,
    ) -> None:
        """Prepare.

        Args:
            model: The model with the task's head.
            args: What `training_arguments` made.
            task: Scores the outputs.
            tokenizer: Pads the batches.
            evaluation: The sets to evaluate by split.
            train: Encoded training records.
            callbacks: The Trainer's callbacks beside its own.
            label_order: For each class of the task the model's output; None where they agree.
        """
        super().__init__(
            model=model,
            args=args,
            train_dataset=train,
            data_collator=DataCollatorWithPadding(tokenizer),
            processing_class=tokenizer,
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)  # our own progress shows
        self.task = task
        self.evaluation = evaluation
        self.label_order = label_order

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Evaluate all splits of the task.

        Args:
            eval_dataset: Not used; the sets are those given at the start.
            ignore_keys: Outputs of the model that are no logits.
            metric_key_prefix: Prefix of the names.

        Returns:
            The task's metrics and the loss of the first split, each name with the prefix.
        """
        began = time.monotonic()
        metrics: dict[str, float] = {}
        with torch.random.fork_rng():  # data loaders draw from the global random state
            for split, (encoded, records) in self.evaluation.items():
                output = self.evaluation_loop(
                    self.get_eval_dataloader(cast("Any", encoded)),
                    description=split,
                    prediction_loss_only=False,
                    ignore_keys=ignore_keys,
                )
                metrics.setdefault("loss", (output.metrics or {})["eval_loss"])
                logits = np.asarray(output.predictions)
                if self.label_order is not None:
                    logits = logits[:, self.label_order]
                metrics |= self.task.score(logits, encoded, records, split)
        named = {f"{metric_key_prefix}_{name}": float(value) for name, value in metrics.items()}
        named["evaluation_seconds"] = round(time.monotonic() - began, 3)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, named)
        return named


class PruningTrainer(TaskTrainer):
    """A TaskTrainer whose training loss may have a teacher's part, and whose checkpoints hold all that a resumed run needs."""

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        *,
        teacher: Teacher | None,
        checkpoints: Checkpoints,
        group_by_length: bool,
        **task: Any,
    ) -> None:
        """Prepare.

        Args:
            model: The student.
            args: What `training_arguments` made.
            teacher: Teaches beside the labels; None for the plain task loss.
            checkpoints: Where checkpoints go.
            group_by_length: Fill batches with records of similar length.
            task: The other arguments of TaskTrainer.
        """
        super().__init__(model, args, **task)
        self.teacher = teacher
        self.checkpoints = checkpoints
        self.group_by_length = group_by_length
        self.loss_is_scaled_for_ga = False  # every loss here is the mean over a batch

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The model's own loss; in training, with a teacher, the loss of self-regularization."""
        outputs = model(**inputs)
        loss = outputs.loss
        if self.teacher is not None and model.training:
            taught = self.teacher.logits({name: value for name, value in inputs.items() if name != "labels"})
            if taught is not None:
                labels = inputs["labels"]
                if self.task.head == "regression":
                    loss = self.teacher.rule.regression_loss(outputs.logits.squeeze(-1), taught.squeeze(-1), labels)
                else:
                    loss = self.teacher.rule.loss(outputs.logits, taught, labels)
        return (loss, outputs) if return_outputs else loss

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        """The order of the records; the Trainer's own would depend on the random state at the time."""
        dataset = train_dataset if train_dataset is not None else self.train_dataset
        assert dataset is not None
        return EpochSampler(
            [len(ids) for ids in dataset["input_ids"]],
            batch_size=self.args.train_batch_size * self.args.gradient_accumulation_steps,
            group_by_length=self.group_by_length,
            seed=self.args.seed,
        )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write the Trainer's own checkpoint where nobody looks, add ours, and put it into place in one rename."""
        with self.checkpoints.staging(self.state.global_step):
            super()._save_checkpoint(model, trial)

    def _get_output_dir(self, trial: Any) -> str:
        """Where the Trainer makes its folder "checkpoint-<step>"."""
        return str(self.checkpoints.staging_folder)


def evaluation_sets(
    task: Task, records: Mapping[str, Dataset], tokenizer: PreTrainedTokenizerBase
) -> dict[str, EvaluationSet]:
    """Encode a task's evaluation splits, shortest inputs first: less padding.

    Args:
        task: Names the splits and encodes.
        records: The records by split.
        tokenizer: The model's.
    """
    sets: dict[str, EvaluationSet] = {}
    for split in task.evaluation_splits:
        encoded = task.encode(records[split], tokenizer)
        order = sorted(range(len(encoded)), key=encoded["length"].__getitem__)
        sets[split] = EvaluationSet(encoded.select(order), records[split].select(order))
    return sets
