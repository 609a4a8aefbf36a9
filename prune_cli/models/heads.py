"""What a task's head is to transformers, and the order of its classes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prune_cli.errors import UserError
from prune_cli.models.architectures import WITH_ARTICLE

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from prune_cli.heads.base import Head
    from prune_cli.models.architectures import Architecture


def auto_class(head: Head[Any], architecture: Architecture, model: str) -> Any:
    """The class of transformers that makes a model with a head.

    Raises:
        UserError: If they do not go together.
    """
    import transformers

    if architecture not in head.auto_classes:
        needed = " or ".join(WITH_ARTICLE[kind] for kind in head.auto_classes)
        raise UserError(f"{model} is {WITH_ARTICLE[architecture]}, and the task needs {needed}: see `prune list models`")
    return getattr(transformers, head.auto_classes[architecture])


def in_order(model: PreTrainedModel, labels: Sequence[str], source: str) -> PreTrainedModel:
    """A model whose classes stand in the order of a task, as those that were fine-tuned elsewhere may not.

    Args:
        model: Loaded with its own labels; its outputs are reordered behind it, its weights stay as they are.
        labels: The task's classes in label order, empty where there are none.

    Raises:
        UserError: If the model was trained for other classes.
    """
    order = label_order(model.config.id2label or {}, labels, source) if labels else None
    if order is not None and order != sorted(order):

        def reorder(_: Any, __: Any, output: Any) -> Any:
            output.logits = output.logits[..., order]
            return output

        model.register_forward_hook(reorder)
    return model


def class_problems(folder: str, labels: Sequence[str], source: str) -> Iterator[str]:
    """Why the classes of a saved model are not those of a task, before its weights are loaded.

    Args:
        labels: The task's classes in label order, empty where there are none, or none are known yet.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if labels:
            label_order(config.id2label or {}, labels, source)
    except UserError as error:
        yield from error.problems
    except (OSError, ValueError, KeyError, TypeError):  # whoever loads it tells what is wrong
        return


def label_order(model_labels: Mapping[int, str] | Mapping[str, str], task_labels: Sequence[str], source: str) -> list[int] | None:
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
    numbered = {int(index): name for index, name in model_labels.items()}
    given = [numbered[index] for index in sorted(numbered)]
    names, wanted = given, [*task_labels]
    if sorted(names) != sorted(wanted):  # then they may differ in case alone
        names, wanted = [name.lower() for name in names], [label.lower() for label in wanted]
    if all(re.fullmatch(r"label_\d+", name) for name in names) and len(names) == len(wanted):
        return None
    if sorted(names) != sorted(wanted):
        raise UserError(
            f"{source} predicts {given}, but the task has the classes {[*task_labels]}:"
            " give a model that was fine-tuned on this task"
        )
    return [names.index(label) for label in wanted]
