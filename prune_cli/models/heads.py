"""What a task's head is to transformers, and the order of its classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prune_cli.errors import UserError
from prune_cli.models.architectures import FITTING, WITH_ARTICLE

if TYPE_CHECKING:
    from prune_cli.models.architectures import Architecture
    from prune_cli.tasks.base import Head

_AUTO_CLASSES: Mapping[tuple[Head, Architecture], str] = {
    ("classification", "encoder"): "AutoModelForSequenceClassification",
    ("regression", "encoder"): "AutoModelForSequenceClassification",
    ("tokens", "encoder"): "AutoModelForTokenClassification",
    ("spans", "encoder"): "AutoModelForQuestionAnswering",
    ("text", "decoder"): "AutoModelForCausalLM",
    ("text", "encoder-decoder"): "AutoModelForSeq2SeqLM",
}


def auto_class(head: Head, architecture: Architecture, model: str) -> Any:
    """The class of transformers that makes a model with a head.

    Args:
        head: Kind of output.
        architecture: Kind of model.
        model: What the model is called, for the message.

    Raises:
        UserError: If they do not go together.
    """
    import transformers

    if architecture not in FITTING[head]:
        needed = " or ".join(WITH_ARTICLE[kind] for kind in FITTING[head])
        raise UserError(
            f"{model} is {WITH_ARTICLE[architecture]}, and the task ({head}) needs {needed}: choose another model"
        )
    return getattr(transformers, _AUTO_CLASSES[head, architecture])


def head_options(head: Head, labels: Sequence[str]) -> dict[str, Any]:
    """What a configuration of transformers says of a head.

    Args:
        head: Kind of output.
        labels: Names of the classes in label order, empty where there are none.
    """
    if head == "text":
        return {}
    if head == "spans":
        return {"num_labels": 2}  # start and end
    if head == "regression":
        return {"num_labels": 1, "problem_type": "regression"}
    names = {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    return names if head == "tokens" else {**names, "problem_type": "single_label_classification"}


def label_order(model_labels: Mapping[int, str] | Mapping[str, str], task_labels: Sequence[str]) -> list[int] | None:
    """Where each class of the task stands among a model's outputs.

    Args:
        model_labels: The model's `id2label`.
        task_labels: The task's classes in label order.

    Returns:
        For each class of the task the model's output, or None where the model names no classes (LABEL_0, ...): it is then
        taken to use the task's order.

    Raises:
        UserError: If the model was trained for other classes.
    """
    numbered = {int(index): name.lower() for index, name in model_labels.items()}
    names = [numbered[index] for index in sorted(numbered)]
    wanted = [label.lower() for label in task_labels]
    if all(re.fullmatch(r"label_\d+", name) for name in names) and len(names) == len(wanted):
        return None
    if sorted(names) != sorted(wanted):
        raise UserError(
            f"regularization.first_teacher predicts {names}, but the task has the classes {wanted}:"
            " give a model that was fine-tuned on this task"
        )
    return [names.index(label) for label in wanted]
