"""The Hugging Face Trainer with a task's metrics and a teacher's loss."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import PrinterCallback, Trainer, TrainerState
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import SchedulerType

from prune_cli.distillation.states import read
from prune_cli.errors import Diverged
from prune_cli.heads.decisions import task_loss
from prune_cli.training import heap
from prune_cli.training.learning_rate import factor
from prune_cli.training.sampler import EpochSampler

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from torch import Tensor, nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback, TrainingArguments

    from prune_cli.distillation.base import Regularization
    from prune_cli.distillation.teacher import Teacher
    from prune_cli.tasks.base import Prediction, Task
    from prune_cli.training.checkpoints import Checkpoint, Checkpoints
    from prune_cli.training.endings import BestWeights, Patience
    from prune_cli.training.evaluation import Evaluation, EvaluationSet

log = logging.getLogger(__name__)


class TaskTrainer(Trainer):
    """A Trainer that evaluates by a task's own metrics, and whose evaluations leave no trace in the random state."""

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        *,
        task: Task,
        tokenizer: PreTrainedTokenizerBase,
        train: Dataset | None = None,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        """Prepare.

        Args:
            model: The model with the task's head.
            args: What `TrainerConfig.arguments` made.
            task: Names the head; reads and scores the outputs.
            tokenizer: Saved beside the model.
            train: Encoded training records.
            callbacks: The Trainer's callbacks beside its own.
        """
        super().__init__(
            model=model,
            args=args,
            train_dataset=train,
            data_collator=task.head.collator(tokenizer),
            processing_class=tokenizer,
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)  # our own progress shows
        self.task = task
        self.head = task.head
        self.tokenizer = tokenizer
        self.evaluates_in: str | None = None  # fp32 or bf16; None for the precision of the training
        self.losses: list[
            tuple[float, int]
        ] = []  # of an evaluation: sum over the decisions of a batch, and their number

    def score(self, sets: Mapping[str, EvaluationSet]) -> tuple[dict[str, float], dict[str, list[Prediction]]]:
        """Evaluate.

        Args:
            sets: The sets by split, the one behind the primary metric first.

        Returns:
            The task's metrics with the `loss` of the first split, and the predictions by split, none where the task makes none.
        """
        metrics: dict[str, float] = {}
        predictions: dict[str, list[Prediction]] = {}
        for split, examples in sets.items():
            outputs, loss = self._outputs(examples, predict=self.task.predicts)
            if not metrics:
                metrics = {"loss": loss, **self.task.metrics_of_loss(loss)}
            predictions[split] = []
            if self.task.predicts:
                predictions[split] = examples.predictions(outputs)
                metrics |= self.task.score(predictions[split], examples.records, split)
        return metrics, predictions

    def predicted(self, examples: EvaluationSet) -> list[Prediction]:
        """Predict, for records that may have no answers.

        Args:
            examples: The records.
        """
        return examples.predictions(self._outputs(examples, predict=True)[0])

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Any, None]:
        """One batch of an evaluation: the plain task loss, where there are labels, and the head's predictions."""
        batch = self._prepare_inputs(inputs)
        with torch.no_grad(), self._computing(model):
            outputs = self.head.outputs(model, batch)
            if "labels" in batch:
                self.losses.append((float(task_loss(self.head.decisions(outputs, batch))), self.head.count(batch)))
            if prediction_loss_only:
                return None, None, None
            return None, self.head.predictions(model, batch, outputs, self.tokenizer), None

    @contextmanager
    def _computing(self, model: nn.Module) -> Iterator[None]:
        """In the precision of evaluations; accelerate also puts its autocast around the model's own `forward`."""
        if self.evaluates_in is None:
            with self.accelerator.autocast():
                yield
            return
        wrapped = model.__dict__.pop("forward", None)
        try:
            with torch.autocast(self.args.device.type, torch.bfloat16, enabled=self.evaluates_in == "bf16"):
                yield
        finally:
            if wrapped is not None:
                model.forward = wrapped

    def _outputs(self, examples: EvaluationSet, *, predict: bool) -> tuple[tuple[np.ndarray, ...], float]:
        """The head's predictions for a set if wanted, in the order of its batches, and the mean loss over its decisions."""
        self.losses = []
        heap.trim()
        with torch.random.fork_rng():  # data loaders draw from the global random state
            output = self.evaluation_loop(
                self.get_eval_dataloader(cast("Any", examples.batches)),
                description="evaluation",
                prediction_loss_only=not predict,
            )
        heap.trim()
        sums, counts = zip(*self.losses, strict=True) if self.losses else ((float("nan"),), (1,))
        return cast("Any", output.predictions), sum(sums) / sum(counts)


class PruningTrainer(TaskTrainer):
    """A TaskTrainer whose training loss may have a teacher's part, and whose checkpoints hold all that a resumed run needs."""

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        *,
        evaluation: Evaluation,
        regularization: Regularization,
        teacher: Teacher | None,
        checkpoints: Checkpoints,
        checkpoint: Checkpoint | None,
        group_by_length: bool,
        cycles: Sequence[int] = (),
        final_precision: str = "fp32",
        best: BestWeights | None = None,
        patience: Patience | None = None,
        **task: Any,
    ) -> None:
        """Prepare.

        Args:
            model: The student.
            args: What `TrainerConfig.arguments` made.
            evaluation: What is evaluated.
            regularization: Makes the loss.
            teacher: The teacher that it needs; None where it needs none.
            checkpoints: Where checkpoints go.
            checkpoint: The one to go on from; None to begin.
            group_by_length: Fill batches with records of similar length.
            cycles: Steps at which the learning rate begins anew.
            final_precision: Of the last evaluation, fp32 or bf16.
            best: Has the weights that are kept in place of the last; None to keep the last.
            patience: Ends the run before its last step; None to take all.
            task: The other arguments of TaskTrainer.
        """
        super().__init__(model, args, **task)
        self.evaluation = evaluation
        self.regularization = regularization
        self.teacher = teacher
        self.predictions: dict[str, list[Prediction]] = {}
        self.checkpoints = checkpoints
        self.checkpoint = checkpoint
        self.group_by_length = group_by_length
        self.cycles = cycles
        self.final_precision = final_precision
        self.best = best
        self.patience = patience
        self.closing = False  # nothing that is evaluated now is looked at for the best
        if args.gradient_checkpointing:
            for layer in model.modules():
                if isinstance(layer, GradientCheckpointingLayer):
                    layer.register_forward_hook(_let_go)
        self.loss_is_scaled_for_ga = True  # by the decisions of all batches of a step
        self.rows = 0  # of all batches of a step

    def learn(self) -> None:
        """Train up to the last step, from the checkpoint where there is one, or until the callbacks stop it.

        A run that needs no more steps ends earlier, and the step is its last. Weights that are kept in place of the last ones
        are put back, and evaluated.
        """
        over = self.patience is not None and self.patience.over  # as it was when the checkpoint was written
        if self.checkpoint is None:
            self.train()
        elif self.checkpoint.step < self.args.max_steps and not over:
            self.train(resume_from_checkpoint=str(self.checkpoint.path))
        else:  # resumed at its end the Trainer would take one step more
            self._load_from_checkpoint(str(self.checkpoint.path))
            self.state = TrainerState.load_from_json(str(self.checkpoint.path / TRAINER_STATE_NAME))
            self.state.max_steps = self.args.max_steps
        early = self.patience is not None and self.patience.over and self.state.global_step < self.args.max_steps
        if early:
            self.state.max_steps = self.state.global_step
        if self.finished:
            self._end(early=early)

    @property
    def finished(self) -> bool:
        """Whether the last step is done."""
        return self.state.global_step >= self.state.max_steps

    @property
    def kept_step(self) -> int:
        """The step whose weights the model has at the end."""
        step = None if self.best is None else self.best.step
        return self.state.global_step if step is None else step

    def _end(self, *, early: bool) -> None:
        """Put the weights back that are kept, and evaluate what the last step's evaluation was not of."""
        other = self.kept_step != self.state.global_step
        if self.best is not None and other:
            self.best.put_back(cast("PreTrainedModel", self.model))
            log.info("keeping the weights of step %d, the best on the validation records", self.kept_step)
        if other or early:
            self.closing = True
            self.evaluate()

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """The Trainer's, or where the learning rate begins anew one that does."""
        if not self.cycles:
            return super().create_scheduler(num_training_steps, optimizer)
        if self.lr_scheduler is None:
            shape = SchedulerType(self.args.lr_scheduler_type).value
            rate = partial(
                factor, cycles=self.cycles, total_steps=num_training_steps, warmup=self.args.warmup_steps, shape=shape
            )
            used = cast("torch.optim.Optimizer", optimizer or self.optimizer)
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(used, rate)
        return self.lr_scheduler

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The loss of the regularization, or that of the labels until there is the teacher that it needs.

        It is a batch's part of the mean over a step's decisions; a loss of states is a mean over the step's rows.
        """
        assert num_items_in_batch is not None, "the Trainer counts with the method below"
        rule = self.regularization
        with self.accelerator.autocast():
            taught = None if self.teacher is None else self.teacher.reading(self.head, inputs)
            waits = taught is None and "teacher" in rule.needs
            student = read(model, self.head, inputs, () if waits else rule.kinds)
            if waits:
                loss = task_loss(student.decisions) / num_items_in_batch
            else:
                second = read(model, self.head, inputs, rule.kinds) if "second_pass" in rule.needs else None
                loss = rule.loss(student, taught, second) / num_items_in_batch
                if (states := rule.state_loss(student, taught)) is not None:
                    loss += states / self.rows
        return (loss, student.outputs) if return_outputs else loss

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> int:
        """The decisions of all batches of a step, counted before they are moved to the device."""
        self.rows = sum(len(batch["labels"]) for batch in batch_samples)
        return sum(self.head.count(batch) for batch in batch_samples)

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Evaluate the task's splits: a part of each where the task wants it so, all of them at the last step.

        Args:
            eval_dataset: Not used; the sets are those given at the start.
            ignore_keys: Not used.
            metric_key_prefix: Prefix of the names.

        Returns:
            The task's metrics and the loss of the first split, each name with the prefix; seconds; records, of how many.
        """
        began = time.monotonic()
        last = self.state.global_step >= self.state.max_steps
        sets = self.evaluation.sets(whole=last)
        self.evaluates_in = self.final_precision if last else None
        metrics, self.predictions = self.score(sets)
        named = {f"{metric_key_prefix}_{name}": float(value) for name, value in metrics.items()}
        named["evaluation_seconds"] = round(time.monotonic() - began, 3)
        named["evaluation_records"] = sum(len(examples.records) for examples in sets.values())
        named["evaluation_records_of"] = sum(len(examples) for examples in self.evaluation.examples.values())
        if self.best is not None and not self.closing:
            metric = named[f"{metric_key_prefix}_{self.task.primary_metric}"]
            model = cast("PreTrainedModel", self.model)
            self.best.consider(model, metric, self.state.global_step, named["evaluation_records"])
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, named)
        return named

    def final_predictions(self) -> dict[str, list[Prediction]]:
        """The predictions of the last evaluation by split, made again where the run was killed right after it."""
        if not self.predictions:
            self.evaluates_in = self.final_precision
            _, self.predictions = self.score(self.evaluation.sets(whole=True))
        return self.predictions

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        """The order of the records; the Trainer's own would depend on the random state at the time."""
        dataset = train_dataset if train_dataset is not None else self.train_dataset
        assert dataset is not None
        return EpochSampler(
            cast("Any", dataset)["length"][:],
            batch_size=self.args.train_batch_size * self.args.gradient_accumulation_steps,
            group_by_length=self.group_by_length,
            seed=self.args.seed,
        )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write the Trainer's own checkpoint where nobody looks, add ours, and put it into place in one rename."""
        if not all(weights.isfinite().all() for weights in model.parameters()):
            raise Diverged(
                f"Training diverged: by step {self.state.global_step} there are weights that are no numbers. Checkpoints"
                " before it stay. Lower trainer.learning_rate, or set trainer.precision=fp32."
            )
        mean_loss = {"sum": self._tr_loss.item(), "since": self._globalstep_last_logged}
        with self.checkpoints.staging(self.state.global_step, mean_loss):
            super()._save_checkpoint(model, trial)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Take back the random states and, with them, the mean loss: the Trainer begins a new one, and would log another."""
        super()._load_rng_state(checkpoint)
        if self.checkpoint is not None:
            self._tr_loss.fill_(self.checkpoint.state["mean_loss"]["sum"])
            self._globalstep_last_logged = self.checkpoint.state["mean_loss"]["since"]

    def _get_output_dir(self, trial: Any) -> str:
        """Where the Trainer makes its folder "checkpoint-<step>"."""
        return str(self.checkpoints.staging_folder)


def _let_go(layer: nn.Module, *_: Any) -> None:
    """Drop the weights that autocast converted for a layer in training.

    Else those of all layers are kept in half precision up to the end of the forward pass, for a use that does not come: the
    backward pass converts again what it computes again. Writing texts uses them for every token.
    """
    if layer.training:
        torch.clear_autocast_cache()
