"""Exported graphs, run on numpy arrays: neither torch nor transformers is needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from prune_cli.errors import UserError
from prune_cli.extras import needed
from prune_cli.plain import shortened
from prune_cli.runtime.folders import first_line

T = TypeVar("T")
Arrays = dict[str, npt.NDArray[Any]]


class Graphs(ABC):
    """An exported model: one graph, or those of encoder and decoder.

    Attributes:
        ending: Of their files.
        package: What runs them.
        extra: The extra of this project that brings it.
    """

    ending: ClassVar[str]
    package: ClassVar[str]
    extra: ClassVar[str]

    def __init__(self, folder: str | Path) -> None:
        """Look for the graphs, and for what runs them.

        Args:
            folder: What `prune export` wrote.

        Raises:
            UserError: If there is none.
        """
        needed(type(self).__name__, self.extra, self.package)
        self.folder = Path(folder).expanduser()
        self.names = sorted(path.stem for path in self.folder.glob(f"*{self.ending}"))
        if self.names not in (["model"], ["decoder_model", "encoder_model"]):
            raise UserError(f"{folder} has no model{self.ending}, nor an encoder_model{self.ending} and a decoder's")

    def opened(self, load: Callable[[str], T]) -> dict[str, T]:
        """Load every graph.

        Raises:
            UserError: If it cannot.
        """
        try:
            return {name: load(str(self.folder / f"{name}{self.ending}")) for name in self.names}
        except Exception as error:  # libraries raise kinds of their own
            raise UserError(f"{self.folder} cannot be loaded: {first_line(error)}") from error

    def given(self, names: Iterable[str], inputs: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """The inputs that a graph reads; where nobody says what kind a token is, all are of the first.

        Raises:
            UserError: If another is missing.
        """
        arrays: Arrays = {}
        for name in names:
            if name in inputs:
                arrays[name] = inputs[name]
            elif name == "token_type_ids" and "input_ids" in inputs:
                arrays[name] = np.zeros_like(inputs["input_ids"])
            else:
                raise UserError(f"the model of {self.folder} reads {name}, which is not given: it was {', '.join(inputs)}")
        return arrays

    @abstractmethod
    def computed(self, name: str, inputs: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """What the library makes of the inputs of one graph, see `run`."""

    def run(self, name: str, inputs: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """Run one graph; inputs that it does not know are left out.

        Args:
            inputs: Arrays of whole numbers, [batch, tokens], and what an encoder gave.

        Raises:
            UserError: If an input is missing, or the library cannot: some graphs take texts of one length alone.
        """
        try:
            return self.computed(name, inputs)
        except UserError:
            raise
        except Exception as error:  # libraries raise kinds of their own
            shapes = ", ".join(f"{key} {list(value.shape)}" for key, value in inputs.items())
            reason = shortened(" ".join(str(error).split()), 200)
            raise UserError(f"{name}{self.ending} cannot be run on {shapes}: {reason}") from error

    def __call__(self, **inputs: npt.NDArray[Any]) -> Arrays:
        """Run the model on what its forward takes in transformers, as numpy arrays.

        Returns:
            `logits`, or `start_logits` and `end_logits`.
        """
        if self.names == ["model"]:
            return self.run("model", inputs)
        hidden = self.run("encoder_model", inputs)["last_hidden_state"]
        given = {"encoder_hidden_states": hidden, "encoder_attention_mask": inputs["attention_mask"]}
        return self.run("decoder_model", {**given, "decoder_input_ids": inputs["decoder_input_ids"]})

    def generate(
        self,
        source: Sequence[int],
        *,
        end: int,
        most: int,
        start: int | None = None,
        first: int | None = None,
        forced_end: bool = False,
    ) -> list[int]:
        """Write on, by the most likely token each time, until the end; all that was written is read anew for each token.

        Args:
            end: Token that ends a text.
            most: Tokens at most, > 0.
            start: Token that an encoder-decoder's texts begin with.
            first: Token that follows it whatever the model says, `forced_bos_token_id` of transformers.
            forced_end: Whether the last of `most` tokens is the end, `forced_eos_token_id` of transformers.

        Returns:
            The new tokens, without the end.
        """
        read = np.asarray([source], dtype=np.int64)
        inputs: Arrays = {"input_ids": read, "attention_mask": np.ones_like(read)}
        written: list[int] = []
        if self.names != ["model"]:
            hidden = self.run("encoder_model", inputs)["last_hidden_state"]
            inputs = {"encoder_hidden_states": hidden, "encoder_attention_mask": inputs["attention_mask"]}
        for number in range(most - forced_end):
            if number == 0 and first is not None:
                written.append(first)
                continue
            if self.names == ["model"]:
                whole = np.asarray([[*source, *written]], dtype=np.int64)
                outputs = self.run("model", {"input_ids": whole, "attention_mask": np.ones_like(whole)})
            else:
                begun = np.asarray([[start, *written]], dtype=np.int64)
                outputs = self.run("decoder_model", {**inputs, "decoder_input_ids": begun})
            token = int(outputs["logits"][0, -1].argmax())
            if token == end:
                break
            written.append(token)
        return written
