"""What the tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from prune_cli.config.build import build
from prune_cli.report import figures
from prune_cli.tasks.text_classification import TextClassification

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory):
    """What the package remembers between runs is not left in the home of whoever tests it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def pictures():
    """Draw within `with pictures():` alone. Drawing takes a quarter of a tiny run: elsewhere empty files stand for it."""

    drawn = figures._save

    def blank(figure: object, path: Path) -> None:
        for ending in (".png", ".svg"):
            path.with_suffix(ending).touch()

    @contextmanager
    def drawing() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(figures, "_save", drawn)
            yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "_save", blank)
        yield drawing


@pytest.fixture
def signals_of_a_terminal() -> Iterator[None]:
    """Signals as a program in the foreground finds them.

    In the background of a shell, and under nohup, SIGINT and SIGHUP are ignored; processes that a test starts inherit that.
    """
    ordinary = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in ordinary.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def project_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real task data, one folder a task: that named by PRUNE_DATA, else ../shared/data."""
    folder = Path(os.environ.get("PRUNE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real task data: {folder} does not exist (name the folder in PRUNE_DATA)")
    return folder


@pytest.fixture
def glue_task() -> Callable[..., TextClassification]:
    """Build the task of a YAML file in conf/task, with fields replaced at will."""

    def make(name: str, **changes: object) -> TextClassification:
        fields = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "task" / f"{name}.yaml"))
        assert isinstance(fields, dict)
        return build({str(key): value for key, value in {**fields, **changes}.items()}, "task")

    return make


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """Train a BERT-like tokenizer on a list of texts."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    def train(texts: list[str]) -> PreTrainedTokenizerFast:
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=special, show_progress=False))
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
        )
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            pad_token="[PAD]",
            unk_token="[UNK]",
            cls_token="[CLS]",
            sep_token="[SEP]",
            model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        )

    return train
