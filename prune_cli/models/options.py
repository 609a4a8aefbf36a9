"""The options of the group `model`."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

from prune_cli.errors import UserError
from prune_cli.marks import BY_CONTENT
from prune_cli.models.architectures import told_architecture
from prune_cli.models.locations import Location, folder_problems, hub_problems, located

if TYPE_CHECKING:
    from prune_cli.models.architectures import Architecture

FROZEN = ("embeddings", "norms")
"""Kinds of module that can be kept from training."""
_ARCHITECTURES = ("encoder", "decoder", "encoder-decoder")


@final
@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A pre-trained model: a folder or an id on the hub, or a random one for tests."""

    name: str | None = field(default=None, metadata=BY_CONTENT)
    """Hub id or local folder with weights, config and tokenizer."""
    architecture: str | None = None
    """Kind of model: encoder, decoder or encoder-decoder. It is checked against the task before anything is downloaded; a
    config.json or GGUF file that is here already decides instead."""
    revision: str | None = field(default=None, metadata=BY_CONTENT)
    """Commit or tag on the hub; null for the newest."""
    package: str | None = field(default=None, metadata=BY_CONTENT)
    """Installed Python package that ships the model; preferred to `name` where it is installed. Never imported."""
    package_folder: str = field(default="model", metadata=BY_CONTENT)
    """Folder inside that package."""
    gguf_file: str | None = field(default=None, metadata=BY_CONTENT)
    """GGUF file with config, tokenizer and weights: inside the package's folder if `package` is set, else inside the folder
    `name`; with neither, the path of a file. Without the package that is named, it does not apply."""
    sha256: str | None = field(default=None, metadata=BY_CONTENT)
    """Expected SHA-256 of the package's model.safetensors or GGUF file, 64 hexadecimal digits."""
    random: dict[str, Any] | None = None
    """Config of a randomly initialized model instead (`model_type` and sizes); its tokenizer is trained on the task's texts."""
    include: str | None = None
    """Regular expression: prune only weights whose name it finds. Null for all in the Transformer blocks."""
    exclude: str | None = None
    """Regular expression: leave weights alone whose name it finds."""
    freeze: tuple[str, ...] = ()
    """What does not train: embeddings, norms."""
    trust_remote_code: bool = False
    """Run code that comes with a hub model. Only for repositories that you trust."""

    def problems(self) -> Iterator[str]:
        """What is wrong with the values; a folder must be there, with weights that can be loaded safely."""
        if self.random is not None:
            yield from self._random_problems(self.random)
        elif self.name is not None and self.gguf_file is None and _looks_like_folder(self.name):
            yield from (f"name={self.name}: {told}" for told in folder_problems(self.name))
        else:
            try:
                self.location()
            except UserError as error:
                yield from error.problems
        if self.architecture is not None and self.architecture not in _ARCHITECTURES:
            yield f"architecture is {self.architecture}: give {', '.join(_ARCHITECTURES[:-1])} or {_ARCHITECTURES[-1]}"
        if unknown := [kind for kind in self.freeze if kind not in FROZEN]:
            yield f"freeze has {unknown[0]}: give some of {', '.join(FROZEN)}"
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            yield f"sha256 is {self.sha256}: give 64 hexadecimal digits in lower case"
        for name, pattern in (("include", self.include), ("exclude", self.exclude)):
            if pattern is not None:
                try:
                    re.compile(pattern)
                except re.error as error:
                    yield f"{name} is {pattern!r}, no regular expression: {error}"

    def _random_problems(self, random: dict[str, Any]) -> Iterator[str]:
        if self.name is not None or self.package is not None or self.gguf_file is not None:
            yield "random makes a random model, so name, package and gguf_file must be null: leave either out"
        if "model_type" not in random:
            yield "random.model_type is missing: name an architecture of transformers, such as bert"

    def missing(self) -> list[str]:
        """Why a model that is neither here nor in an installed package cannot be loaded from the hub."""
        shipped = self.package is not None and importlib.util.find_spec(self.package) is not None
        if self.random is not None or shipped or self.name is None or _looks_like_folder(self.name):
            return []
        return hub_problems(self.name, self.revision)

    def location(self, *, checked: bool = False) -> Location:
        """Where the model lies, which is not one that is made at random.

        Args:
            checked: Read the weights of a package and compare their hash.

        Raises:
            UserError: If there is no model, or it cannot be used.
        """
        return located(
            self.name,
            revision=self.revision,
            package=self.package,
            folder=self.package_folder,
            gguf_file=self.gguf_file,
            sha256=self.sha256 if checked else None,
        )

    def known_architecture(self) -> Architecture | None:
        """What kind of model it is: by its own configuration where that is here, else by what was set; None where neither tells.

        Raises:
            UserError: If it is no language model.
        """
        told = self.location().architecture() if self.random is None else told_architecture(self.random)
        return told or cast("Architecture | None", self.architecture)


def _looks_like_folder(name: str) -> bool:
    """Whether a model's name can only be meant as a folder; hub ids have one slash at most."""
    return name.startswith(("/", ".", "~")) or name.count("/") > 1 or Path(name).is_dir()
