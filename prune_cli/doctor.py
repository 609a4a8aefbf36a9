"""What `prune doctor` looks at: packages, hardware, services and extras, with a remedy for what is amiss."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from packaging.requirements import Requirement

if TYPE_CHECKING:
    from rich.table import Table

State = Literal["ok", "warning", "missing", "broken"]

DISTRIBUTION = "prune-lm"
TIMEOUT = 2.5
"""Seconds that a service may take to answer."""
LOW_MEMORY = 4.0
"""GiB of free memory; BERT-base with gradients, AdamW and scores needs about three."""
LOW_DISK = 5.0
"""GiB of free disk; a checkpoint of BERT-base with its optimizer and pruner takes about two."""

_WIDEST = 60
"""Characters of a column."""
_STYLES: dict[State, str] = {"ok": "green", "warning": "yellow", "missing": "yellow", "broken": "bold red"}
_IMPORT_NAMES = {
    "hydra-core": "hydra",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}  # where it is not the distribution's own
# What a missing module, a missing shared library and a package built against another NumPy raise.
_IMPORT_ERRORS = (ImportError, OSError, AttributeError, RuntimeError, ValueError)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        state: ok; warning: works less well; missing: an extra that is not installed; broken: `prune run` cannot work.
        found: What was seen.
    """

    what: str
    state: State
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Service:
    """Something on the network.

    Attributes:
        remedy: How to work without it.
        switched_off: Why it is not to be asked; empty to ask.
    """

    what: str
    url: str
    remedy: str
    switched_off: str = ""


def checks() -> list[Check]:
    """Look at everything; takes some seconds, most of them to import the core packages."""
    requirements = declared_requirements()
    result = [Check("Python", "ok", f"{platform.python_version()}, {platform.system()} {platform.machine()}")]
    if not requirements:
        result.append(Check(DISTRIBUTION, "warning", "runs without being installed: versions unchecked", "pip install -e ."))
    result += [check_core(requirement) for requirement in requirements.get("", [])]
    if exit_code(result) == 0:  # all of these need the core packages
        result += [*check_torch(), *check_machine(Path.cwd()), *check_services(services()), check_wandb_login()]
    return result + [check_extra(extra, wanted) for extra, wanted in requirements.items() if extra]


def exit_code(checks: Iterable[Check]) -> int:
    """1 where a core package is broken, else 0: a missing extra or an unreachable service is no failure."""
    return int(any(check.state == "broken" for check in checks))


def table(checks: Iterable[Check]) -> Table:
    """The checks as a table for the screen."""
    from rich.table import Table
    from rich.text import Text

    result = Table("what", "state", title="prune doctor", title_justify="left")
    for name in ("found", "remedy"):
        result.add_column(name, max_width=_WIDEST)  # also where nothing else bounds it, in a pipe
    for check in checks:
        result.add_row(check.what, Text(check.state, style=_STYLES[check.state]), Text(check.found), Text(check.remedy))
    return result


def declared_requirements() -> dict[str, list[Requirement]]:
    """What this installation asks for, by extra; "" holds the core packages. Empty where it is not installed."""
    try:
        package = metadata.metadata(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return {}
    declared = [Requirement(line) for line in package.get_all("Requires-Dist") or []]
    by_extra = {
        extra: [r for r in declared if r.marker is not None and r.marker.evaluate({"extra": extra})]
        for extra in package.get_all("Provides-Extra") or []
    }
    return {"": [r for r in declared if r.marker is None], **by_extra}


def problem(requirement: Requirement) -> str:
    """Why the installed version does not meet the requirement; empty where it does."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return "not installed"
    return "" if requirement.specifier.contains(version, prereleases=True) else f"{version} is not {requirement.specifier}"


def check_core(requirement: Requirement) -> Check:
    """Whether a core package is there, recent enough, and can be imported."""
    remedy = f"pip install '{requirement}'"
    if wrong := problem(requirement):
        return Check(requirement.name, "broken", wrong, remedy)
    try:
        importlib.import_module(_IMPORT_NAMES.get(requirement.name, requirement.name.replace("-", "_")))
    except _IMPORT_ERRORS as error:
        return Check(requirement.name, "broken", f"import fails: {error}", f"pip install --force-reinstall '{requirement}'")
    return Check(requirement.name, "ok", metadata.version(requirement.name))


def check_extra(extra: str, wanted: Sequence[Requirement]) -> Check:
    """Whether everything of an extra is installed."""
    lacking = [f"{requirement.name} ({wrong})" for requirement in wanted if (wrong := problem(requirement))]
    if lacking:
        return Check(f"extra {extra}", "missing", ", ".join(lacking), f"pip install '{DISTRIBUTION}[{extra}]'")
    return Check(f"extra {extra}", "ok", ", ".join(requirement.name for requirement in wanted))


def check_torch() -> Iterator[Check]:
    """Threads, CPU, and GPUs as torch sees them."""
    import torch

    from prune_cli.training.hardware import bf16_in_hardware, on_gpu, resolved_precision

    yield Check("torch threads", "ok", f"{torch.get_num_threads()} (OMP_NUM_THREADS changes it), {os.cpu_count()} cores")
    bf16 = "bf16 in hardware" if bf16_in_hardware("cpu") else "no bf16 in hardware"
    yield Check("CPU", "ok", f"{torch.backends.cpu.get_cpu_capability()}, {bf16}")
    if not torch.cuda.is_available():
        yield Check("GPU", "ok", "none that this torch can use: runs train on the CPU")
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        bf16 = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no bf16"
        yield Check(f"GPU {index}", "ok", f"{device.name}, {_gib(device.total_memory):.0f} GiB, {bf16}")
    place = "GPU" if on_gpu("auto") else "CPU"
    why = f"the {place} that runs train on has {'it' if bf16_in_hardware('auto') else 'no bf16'} in hardware"
    yield Check("precision", "ok", f"trainer.precision=auto takes {resolved_precision('auto', 'auto')}: {why}")


def check_machine(folder: Path) -> Iterator[Check]:
    """Free memory, and free disk where runs would be written."""
    import psutil

    memory = _gib(psutil.virtual_memory().available)
    yield _enough("memory", memory, LOW_MEMORY, "close other programs, or lower trainer.batch_size")
    disk = _gib(shutil.disk_usage(folder).free)
    yield _enough(f"disk at {folder}", disk, LOW_DISK, "make room, or set output_dir to a larger disk")


def services() -> list[Service]:
    """The services that a run may use, and whether the environment switches them off."""
    from huggingface_hub import constants

    hub_off = "HF_HUB_OFFLINE is set: only what is in the cache loads" if constants.HF_HUB_OFFLINE else ""
    wandb_mode = os.environ.get("WANDB_MODE", "online")
    wandb_off = "" if wandb_mode == "online" else f"WANDB_MODE={wandb_mode} is set: nothing is sent"
    no_hub = "model=minilm with the extra demo, or model.name=FOLDER; data=synthetic, or data=local data.path=FOLDER"
    return [
        Service("Hugging Face hub", constants.ENDPOINT, no_hub, hub_off),
        Service("W&B", _wandb_url(), "runs are kept offline; send them later with `prune sync`", wandb_off),
    ]


def check_services(asked: Sequence[Service]) -> list[Check]:
    """Ask all services at once and wait for `TIMEOUT` seconds altogether."""
    answers: dict[str, str] = {}
    # Daemon threads: the resolution of a host name knows no timeout and must not keep the program from ending.
    threads = [
        threading.Thread(target=lambda s=service: answers.update({s.what: _ask(s.url)}), daemon=True)
        for service in asked
        if not service.switched_off
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + TIMEOUT
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [_service_check(service, answers.get(service.what, f"no answer in {TIMEOUT} s")) for service in asked]


def check_wandb_login() -> Check:
    """Whether W&B finds a login; the key itself is never shown."""
    import wandb

    try:
        wandb.setup(wandb.Settings(silent=True))
        logged_in = wandb.login(prompt=False, verify=False)
    except (wandb.Error, ValueError) as error:  # a key or an address that cannot be one
        return Check("W&B login", "warning", str(error).partition("\n")[0], "wandb login --relogin, or tracking=none")
    if logged_in:
        return Check("W&B login", "ok", "a key is at hand")
    return Check("W&B login", "warning", "not logged in: runs are kept offline", "wandb login, or tracking=none")


def _service_check(service: Service, answer: str) -> Check:
    if service.switched_off:
        return Check(service.what, "warning", service.switched_off)
    if answer:
        return Check(service.what, "warning", f"{service.url}: {answer}", service.remedy)
    return Check(service.what, "ok", f"{service.url} answers")


def _ask(url: str) -> str:
    """Why the address does not answer; empty where it does, be it to say that a login is needed."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=TIMEOUT).close()
    except urllib.error.HTTPError as error:
        error.close()
        return f"HTTP {error.code}" if error.code >= 500 else ""
    except (OSError, ValueError) as error:  # unreachable; not an address at all
        return str(error.reason if isinstance(error, urllib.error.URLError) else error)
    return ""


def _wandb_url() -> str:
    return os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")


def _enough(what: str, free: float, low: float, remedy: str) -> Check:
    """A warning where less than `low` GiB are free."""
    return Check(what, "ok", f"{free:.0f} GiB free") if free >= low else Check(what, "warning", f"{free:.1f} GiB free", remedy)


def _gib(size: int) -> float:
    return size / 2**30
