"""Prunes every model of a folder for a few steps and writes what came of it into docs/models.md: `make check-models`.

usage: python -m tests.check_models MODELS RECORDS [NAME ...]

MODELS holds folders in the layout of the hub, RECORDS the folders mrpc and web_nlg with JSON lines. Encoders learn mrpc, all
others web_nlg, by eight steps on the command line. A run has to end with exactly the zeros asked for, counted anew in its
files, or be refused with a reason; with names, nothing is written. The exit code is 1 where one does neither.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import transformers
from rich.console import Console
from safetensors import safe_open

from prune_cli.models.architectures import architecture_of

PAGE = Path(__file__).parent.parent / "docs" / "models.md"
BEGIN, END = "<!-- table -->", "<!-- end -->"
TASKS = ("mrpc", "web_nlg")
SPARSITY = 0.8
PARALLEL = 2


class Checked(NamedTuple):
    """What came of a model.

    Attributes:
        name: Of its folder.
        kind: What it is, and the task that it learned.
        outcome: Zeros and weights, or why it was refused.
        right: Whether that is as it should be.
    """

    name: str
    kind: str
    outcome: str
    right: bool


def checked(model: Path, records: Path) -> Checked:
    """Prune one model."""
    config = transformers.AutoConfig.from_pretrained(str(model), trust_remote_code=False)
    kind = architecture_of(config, None)
    task = TASKS[kind != "encoder"]
    told = f"{kind}, {task}"
    with TemporaryDirectory() as folder:
        size = ["trainer.max_steps=8", "trainer.batch_size=8", "trainer.eval_steps=8", "trainer.device=cpu"]
        short = ["task.max_new_tokens=4", "task.beams=1"] if task == "web_nlg" else []
        source = [f"data.path={records / task}", "data=local"]
        command = [
            sys.executable,
            "-m",
            "prune_cli",
            "run",
            f"task={task}",
            f"model.name='{model}'",
            *source,
            *size,
            *short,
        ]
        rest = [f"sparsity={SPARSITY}", "schedule.delta_t=1", "tracking=none", f"output_dir={folder}"]
        ended = subprocess.run([*command, *rest], capture_output=True, text=True, check=False)
        said = " ".join(ended.stderr.split("Error:")[-1].split()).replace(str(model), model.name)
        if ended.returncode == 2:
            return Checked(model.name, told, f"refused: {said}", right=True)
        if ended.returncode:
            return Checked(model.name, told, f"exit {ended.returncode}: {said[-300:]}", right=False)
        (run,) = Path(folder).iterdir()
        return Checked(model.name, told, *_counted(run))


def _counted(run: Path) -> tuple[str, bool]:
    """The zeros of a finished run, and whether they are those asked for, in its result and by a reader of our own."""
    found = json.loads((run / "result.json").read_text(encoding="utf-8"))["sparsity"]
    there = 0
    for path in (run / "model").glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            there += sum(int((file.get_tensor(name) == 0).sum()) for name in file.keys())  # noqa: SIM118, it is no mapping
    wanted = round(SPARSITY * found["prunable"])
    right = found["zeros_in_file"] == found["zeros_by_mask"] == wanted <= there
    words = f"{found['zeros_in_file']:,} of {found['prunable']:,} weights are zero"
    return words if right else f"{words}, {wanted:,} asked for, {there:,} zeros in the files", right


def _few(records: Path, folder: Path) -> Path:
    """Some of the records, as many as eight steps need."""
    for task, (split, count) in product(TASKS, (("train", 64), ("validation", 16))):
        (folder / task).mkdir(exist_ok=True)
        with (records / task / f"{split}.jsonl").open(encoding="utf-8") as file:
            (folder / task / f"{split}.jsonl").write_text("".join(islice(file, count)), encoding="utf-8")
    return folder


def _table(models: list[Checked]) -> str:
    rows = [(each.name, each.kind, each.outcome.replace("|", "\\|")) for each in models]
    lines = [("architecture", "kind, task", "outcome at 80%"), ("---", "---", "---"), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> int:
    """Check, print each as it ends, and write the page."""
    transformers.utils.logging.set_verbosity_error()
    models, records, *names = sys.argv[1:]
    folders = sorted(path for path in Path(models).absolute().iterdir() if (path / "config.json").is_file())
    folders = [path for path in folders if not names or path.name in names]
    screen = Console(width=200)
    done = []
    with TemporaryDirectory() as scratch, ThreadPoolExecutor(PARALLEL) as threads:
        few = _few(Path(records), Path(scratch))
        for each in threads.map(lambda folder: checked(folder, few), folders):
            done.append(each)
            screen.print(each.name, each.kind, each.outcome, markup=False, style=None if each.right else "bold red")
    if not names:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n\n{_table(done)}\n{END}{after}", encoding="utf-8")
    return int(not all(each.right for each in done))


if __name__ == "__main__":
    sys.exit(main())
