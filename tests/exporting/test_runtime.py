"""What surrounds exported graphs: inputs that are left out, and texts that are made to begin or to end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prune_cli.errors import UserError
from prune_cli.runtime.graphs import Arrays, Graphs

END = 2
WORDS = [5, 6, 7, END]


class Recited(Graphs):
    """Writes the same words whatever it reads, each after as many as were written before."""

    ending, package, extra = ".none", "numpy", "runtime"

    def __init__(self, names: list[str]) -> None:
        self.folder, self.names = Path("here"), names

    def computed(self, name: str, inputs: Mapping[str, Any]) -> Arrays:
        if name == "encoder_model":
            return {"last_hidden_state": inputs["input_ids"]}
        written = inputs["decoder_input_ids"].shape[1] - 1
        logits = np.zeros((1, written + 1, 10))
        logits[0, -1, WORDS[min(written, len(WORDS) - 1)]] = 1
        return {"logits": logits}


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ({}, [5, 6, 7]),
        ({"first": 9}, [9, 6, 7]),
        ({"forced_end": True}, [5, 6, 7]),
        ({"most": 3}, [5, 6, 7]),
        ({"most": 3, "forced_end": True}, [5, 6]),
    ],
)
def test_texts_begin_and_end_as_they_are_made_to(options: dict[str, Any], made: list[int]) -> None:
    model = Recited(["decoder_model", "encoder_model"])
    assert model.generate([1, 2], **{"end": END, "most": 9, "start": 1, **options}) == made


def test_inputs_that_are_left_out() -> None:
    model = Recited(["model"])
    ids = np.asarray([[1, 2, 3]])
    given = model.given(["input_ids", "token_type_ids"], {"input_ids": ids, "more": ids})
    assert given.keys() == {"input_ids", "token_type_ids"}
    assert not given["token_type_ids"].any()
    assert given["token_type_ids"].shape == ids.shape
    with pytest.raises(UserError, match="the model of here reads attention_mask, which is not given"):
        model.given(["input_ids", "attention_mask"], {"input_ids": ids})


def test_what_a_library_says_of_inputs_that_it_cannot_take() -> None:
    with pytest.raises(UserError, match=r"model.none cannot be run on input_ids \[1, 3\]: 'decoder_input_ids'"):
        Recited(["model"])(input_ids=np.asarray([[1, 2, 3]]))
