"""What each kind of head is trained for and how it is read: batches, losses, outputs. One file a head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from prune_cli.objectives.base import Objective
    from prune_cli.tasks.base import Task


def objective_of(task: Task, tokenizer: PreTrainedTokenizerBase) -> Objective[Any]:
    """The objective of a task's head.

    Args:
        task: Names the head, and for texts how they are generated.
        tokenizer: Pads the batches.
    """
    match task.head:
        case "classification":
            from prune_cli.objectives.classification import Classification

            return Classification(tokenizer)
        case "regression":
            from prune_cli.objectives.regression import Regression

            return Regression(tokenizer)
        case "tokens":
            from prune_cli.objectives.tokens import Tokens

            return Tokens(tokenizer)
        case "spans":
            from prune_cli.objectives.spans import Spans

            return Spans(tokenizer)
        case "text":
            from prune_cli.objectives.text import Text

            assert task.generation is not None, "a task whose head is text says how texts are generated"
            return Text(tokenizer, task.generation)
