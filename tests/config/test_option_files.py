"""What can be chosen is what lies in the folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from prune_cli.config.option_files import GROUPS, Option, folders, names, options
from prune_cli.paths import CONF


@pytest.mark.parametrize("group", GROUPS)
def test_every_yaml_is_an_option_and_says_what_it_is(group: str) -> None:
    assert names(group, [CONF]) == sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    assert all(option.about for option in options(group, [CONF]))


def test_every_folder_of_conf_is_a_group() -> None:
    assert {folder.name for folder in CONF.iterdir() if folder.is_dir()} == {
        *GROUPS,
        "hydra",
        "runtime",
    }  # and what Hydra and `prune bench` have


def test_a_users_folder_adds_options_and_does_not_replace_ours(tmp_path: Path) -> None:
    (tmp_path / "task" / "mine").mkdir(parents=True)
    (tmp_path / "task" / "mine" / "deep.yaml").write_text("# @package task\n# Mine, deeper\nname: x\n")
    (tmp_path / "task" / "bare.yaml").write_text("name: x  # no line of its own\n")
    (tmp_path / "task" / "rte.yaml").write_text("# Not ours\n")
    found = {option.name: option for option in options("task", folders(str(tmp_path)))}
    assert found["mine/deep"] == Option("mine/deep", "Mine, deeper", tmp_path / "task" / "mine" / "deep.yaml")
    assert found["bare"].about == ""
    assert found["rte"].about.startswith("RTE")
