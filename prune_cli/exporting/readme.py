"""How to run what was exported: a dozen lines of Python for each format and kind of model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prune_cli.exporting.source import Source

_LOADS = {"compact": "load_compact", "sparse": "load_sparse", "onnx": "OnnxModel", "openvino": "OpenVinoModel"}


def readme(source: Source, form: str) -> str:
    """The README of an export."""
    program = _of_torch(source, form) if form in ("compact", "sparse") else _of_graphs(source, form)
    extra = "[openvino]" if form == "openvino" else "[runtime]"
    alone = _alone(source) if form == "onnx" else ""
    return f"""# A pruned model, exported by prune-lm as {form}

    pip install 'prune-lm{extra}'

```python
{program}```
{alone}"""


def _kind(source: Source) -> str:
    (name,) = source.model_config.architectures or [""]
    if source.model_config.is_encoder_decoder:
        return "seq2seq"
    endings = {"TokenClassification": "tokens", "QuestionAnswering": "spans", "CausalLM": "text", "LMHeadModel": "text"}
    for ending, kind in endings.items():
        if name.endswith(ending):
            return kind
    return "classes"


_SHOWN_BY_TORCH = {
    "classes": "print(model(**batch).logits.softmax(-1))\n",
    "tokens": "print([model.config.id2label[int(label)] for label in model(**batch).logits[0].argmax(-1)])\n",
    "spans": (
        "found = model(**batch)\n"
        "start, end = int(found.start_logits.argmax()), int(found.end_logits.argmax())\n"
        'print(tokenizer.decode(batch["input_ids"][0, start : end + 1]))\n'
    ),
    "text": "print(tokenizer.decode(model.generate(**batch, max_new_tokens=60, do_sample=False)[0], skip_special_tokens=True))\n",
}
_SHOWN_BY_GRAPHS = {
    "classes": 'print(model(**batch)["logits"])\n',
    "tokens": 'print(model(**batch)["logits"][0].argmax(-1))\n',
    "spans": (
        "found = model(**batch)\n"
        'start, end = int(found["start_logits"].argmax()), int(found["end_logits"].argmax())\n'
        'print(tokenizer.decode(batch["input_ids"][0, start : end + 1]))\n'
    ),
}
_TEXTS = {"spans": '"Who wrote it?", "Ada wrote it."'}


def _of_torch(source: Source, form: str) -> str:
    kind = _kind(source)
    types = "" if kind in _WITH_TYPES else ", return_token_type_ids=False"
    return f"""from pathlib import Path

from transformers import AutoTokenizer

from prune_cli.runtime import {_LOADS[form]}

folder = Path(__file__).parent
tokenizer, model = AutoTokenizer.from_pretrained(folder), {_LOADS[form]}(folder)
batch = tokenizer({_TEXTS.get(kind, '"a text"')}, return_tensors="pt"{types})
{_SHOWN_BY_TORCH["text" if kind == "seq2seq" else kind]}"""


_WITH_TYPES = ("classes", "tokens", "spans")


def _of_graphs(source: Source, form: str) -> str:
    kind = _kind(source)
    head = f"""from pathlib import Path

from transformers import AutoTokenizer

from prune_cli.runtime import {_LOADS[form]}

folder = Path(__file__).parent
tokenizer, model = AutoTokenizer.from_pretrained(folder), {_LOADS[form]}(folder)
"""
    if kind in ("text", "seq2seq"):
        start = f", start={source.model_config.decoder_start_token_id}{_forced(source)}" if kind == "seq2seq" else ""
        return f"""{head}source = tokenizer("a text")["input_ids"]
made = model.generate(source, end=tokenizer.eos_token_id, most=60{start})
print(tokenizer.decode(made, skip_special_tokens=True))
"""
    return f"""{head}batch = tokenizer({_TEXTS.get(kind, '"a text"')}, return_tensors="np")
{_SHOWN_BY_GRAPHS[kind]}"""


def _forced(source: Source) -> str:
    """What a model's own configuration puts into every text."""
    settings = source.generation
    first = "" if settings.forced_bos_token_id is None else f", first={settings.forced_bos_token_id}"
    return first + (", forced_end=True" if settings.forced_eos_token_id is not None else "")


def _alone(source: Source) -> str:
    """With onnxruntime and tokenizers alone, for a model of one graph."""
    kind = _kind(source)
    if kind in ("text", "seq2seq"):
        return ""
    return f"""
With `pip install 'onnxruntime>=1.23' tokenizers` alone:

```python
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder = Path(__file__).parent
session = onnxruntime.InferenceSession(folder / "model.onnx")
text = Tokenizer.from_file(str(folder / "tokenizer.json")).encode({_TEXTS.get(kind, '"a text"')})
known = {{"input_ids": text.ids, "attention_mask": text.attention_mask, "token_type_ids": text.type_ids}}
batch = {{each.name: np.array([known[each.name]]) for each in session.get_inputs()}}
print(session.run(None, batch))
```
"""
