"""The README.md of a pruned model, in the format of the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from prune_cli.artifacts.result import Result
from prune_cli.redaction import redact, without_folders
from prune_cli.report.names import metric_label, primary_first, way
from prune_cli.report.numbers import four_digits, percent, size

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*(/[\w.-]+)?$")
_PIPELINES = {
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForTokenClassification": "token-classification",
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForMultipleChoice": "multiple-choice",
    "AutoModelForCausalLM": "text-generation",
    "AutoModelForSeq2SeqLM": "text2text-generation",
}
"""What the hub calls what a model does."""
_NOT_THE_MODEL = ("choices", "sparsity", "seed")
"""Keys of the configuration that stand in the command, or say nothing about the model."""


def model_card(result: Result, config: Mapping[str, Any], command: str) -> str:
    """Write a short model card: what was pruned, how well it does, how to load and to repeat it, and its limits.

    Args:
        command: What repeats the run, without what belongs to one machine.

    Returns:
        Markdown with a YAML header.
    """
    choices, sparsity = result.choices, result.sparsity
    zeros, prunable = sparsity.zeros_in_file, sparsity.prunable
    return f"""---
{yaml.safe_dump(_header(result, config), sort_keys=False)}---

# {result.name}

{_origin(config)}, fine-tuned on `{choices["task"]}` {_method(result)}, regularization \
`{choices["regularization"]}`, seed {result.seed}.

## Sparsity

Sparsity is the fraction removed: the weights that are exactly zero, counted in the saved file.

| | zeros | of | sparsity |
|---|---|---|---|
| prunable weights (matrices in the Transformer blocks) | {zeros:,} | {prunable:,} | {percent(zeros / prunable, 4)}% |
| the whole model | {zeros:,} | {sparsity.parameters:,} | {percent(sparsity.of_model, 2)}% |

## Evaluation

On the validation records of the task, after {result.steps:,} optimizer steps{_kept(result)}:

| metric | {way(result)} |{_teacher_heading(result)}
|---|---|{_teacher_rule(result)}
{_metric_rows(result)}
{_signatures(result)}
## Use

```python
{_loading(result)}{_generation(config)}```

## Limits

{_form(result)}
- One run, one seed. The validation records also chose its teachers, where it had any: expect a little less on others.
- It inherits what the base model learned, its biases included; pruning can change errors unevenly between groups.

## Repeat it

{_versions(result)}

```
{command}
```

That makes this configuration (paths are shortened to their last part):

```yaml
{yaml.safe_dump(shareable(_of_model(config)), sort_keys=False).rstrip()}
```
"""


def _method(result: Result) -> str:
    choices = result.choices
    if way(result) == "dense":
        return "with prune-lm, and not pruned"
    return (
        f"and pruned while fine-tuning with prune-lm: criterion `{choices['criterion']}`, schedule `{choices['schedule']}`,"
        f" pattern `{choices['pattern']}`"
    )


def _kept(result: Result) -> str:
    step = result.kept_step
    chosen = f" (the weights are those of step {step:,}, chosen on these very records as the best)"
    return "" if step == result.steps else chosen


def _header(result: Result, config: Mapping[str, Any]) -> dict[str, Any]:
    choices = result.choices
    pipeline = _PIPELINES.get(result.auto_class)
    base, datasets = _base_model(config), _datasets(result, config)
    return {
        "library_name": "transformers",
        **({"base_model": base} if base else {}),
        **({"datasets": datasets} if datasets else {}),
        **({"pipeline_tag": pipeline} if pipeline else {}),
        "metrics": [name for name in result.metrics if name != "loss"],
        "tags": ["pruning", "sparse", choices["pattern"], choices["criterion"], choices["task"], "prune-lm"],
        "model-index": [{"name": result.name, "results": [_evaluation(result, config)]}],
    }


def _evaluation(result: Result, config: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured on what, as the hub lists it."""
    task = config["task"]
    return {
        "task": {"type": _PIPELINES.get(result.auto_class, "other")},
        "dataset": {
            "name": task["name"],
            "type": task["hub_path"] or task["name"],
            **({"config": task["hub_config"]} if task["hub_config"] else {}),
            "split": task["evaluation_splits"][0],
        },
        "metrics": [
            {"type": name, "value": round(value, 6), "name": metric_label(name)}
            for name, value in primary_first(result.metrics, result.primary_metric).items()
            if name != "loss" and value is not None
        ],
    }


def _base_model(config: Mapping[str, Any]) -> str | None:
    """The hub id of the model that was pruned; None for a random one or one from a folder."""
    name = config["model"]["name"]
    if name is None or config["model"]["random"] is not None or not _HUB_ID.match(name) or Path(name).exists():
        return None
    return name


def _origin(config: Mapping[str, Any]) -> str:
    base = _base_model(config)
    if base is not None:
        return f"[{base}](https://huggingface.co/{base})"
    return "A randomly initialized model" if config["model"]["random"] is not None else "A model from a local folder"


def _datasets(result: Result, config: Mapping[str, Any]) -> list[str]:
    return [config["task"]["hub_path"]] if result.choices["data"] == "hub" else []


def _teacher_heading(result: Result) -> str:
    of = f", of {result.teacher_records:,} records"
    return "" if result.teacher_metric is None else f" first, dense teacher{of} |"


def _teacher_rule(result: Result) -> str:
    return "" if result.teacher_metric is None else "---|"


def _metric_rows(result: Result) -> str:
    teacher = result.teacher_metric
    rows = []
    for name, value in primary_first(result.metrics, result.primary_metric).items():
        primary = name == result.primary_metric
        label = f"**{metric_label(name)}**" if primary else metric_label(name)
        level = "" if teacher is None else f" {teacher:.4f} |" if primary else " |"
        rows.append(f"| {label} | {four_digits(value)} |{level}")
    return "\n".join(rows)


def _signatures(result: Result) -> str:
    """How the library that computed metrics says that it did."""
    lines = [f"- {metric_label(name)}: `{signature}`" for name, signature in result.signatures.items()]
    return "\n".join(["", "As sacrebleu computes them:", "", *lines, ""]) if lines else ""


def _generation(config: Mapping[str, Any]) -> str:
    """How a model that writes is asked, as in training."""
    task = config["task"]
    if "prompt" not in task:
        return ""
    prompt = task["prompt"].replace("{source}", task["between"].join([task["fact"]] * 2))
    return f"""inputs = tokenizer({prompt!r}, return_tensors="pt")  # what is in braces, filled in
output = model.generate(**inputs, max_new_tokens={task["max_new_tokens"]}, num_beams={task["beams"]}, do_sample=False)
print(tokenizer.decode(output[0], skip_special_tokens=True))
"""


def _loading(result: Result) -> str:
    """How the model is loaded."""
    auto = result.auto_class
    ours = """from transformers import AutoTokenizer

from prune_cli.runtime import load_compact  # pip install prune-lm
"""
    theirs = f"from transformers import {auto}, AutoTokenizer\n"
    return f"""{ours if result.small == "compact" else theirs}
folder = "path/to/this/folder"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = {"load_compact(folder)" if result.small == "compact" else f"{auto}.from_pretrained(folder)"}
"""


def _form(result: Result) -> str:
    """What is in the file, and how fast it is."""
    share = "" if result.arithmetic is None else percent(result.arithmetic.share, 2)
    if result.small == "plain":
        return f"""- Whole layers are gone ({_file_sizes(result)}): it is a plain model with fewer of them, and {share}% of
  the matrices' multiply-adds."""
    if result.small == "compact":
        return f"""- Whole units are gone from its matrices ({_file_sizes(result)}): its layers differ in size, which
  transformers alone cannot load. It is for inference; {share}% of the matrices' multiply-adds are left."""
    return f"""- The file is a dense one: zeros are stored, so it is as large as the unpruned model's ({_file_sizes(result)}).
  `prune export --format sparse` writes a small one.
- Dense kernels multiply by zeros as by any other number. {_arithmetic(result)}"""


def _file_sizes(result: Result) -> str:
    return ", ".join(f"{Path(name).name} {size(count)}" for name, count in result.files.items())


def _arithmetic(result: Result) -> str:
    counted = result.arithmetic
    if counted is None:
        return "Without kernels for sparse weights it is no faster."
    return (
        f"`prune export --format compact` (or onnx, openvino) cuts out what is empty and leaves"
        f" {percent(counted.share, 2)}% of the matrices' multiply-adds, with the same outputs."
    )


def _versions(result: Result) -> str:
    versions = ", ".join(f"{package} {version}" for package, version in result.versions.items())
    commit = "" if result.git_commit is None else f", commit {result.git_commit}"
    return f"With {versions}{commit}:"


def shareable(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without what belongs to one machine: secrets, folders on the way to a file."""
    return redact(without_folders(config))


def _of_model(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in _NOT_THE_MODEL}
