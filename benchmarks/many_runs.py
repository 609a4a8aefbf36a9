"""How long `prune compare` and `prune report` take over many runs, and how the page feels in Chromium.

    python benchmarks/many_runs.py [COUNT]

A small run with as many layers and evaluations as one of BERT-base is made, and copied COUNT times (2,000 without), its model
as a hole of the promised size; other tasks, criteria, sparsities, learning rates and seeds are written into its result.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WAYS = itertools.product(
    ("mrpc", "rte", "cola", "sst2"),
    ("pins", "magnitude", "sensitivity", "random"),
    (0.5, 0.8, 0.9, 0.95),
    (1e-4, 2e-4, 4e-4),
    range(11),
)


def copied(run: Path, folder: Path, count: int) -> None:
    result = json.loads((run / "result.json").read_text())
    for number, (task, criterion, sparsity, rate, seed) in zip(range(count), WAYS, strict=False):
        changed = json.loads(json.dumps(result))
        config = changed["config"]
        for where in (changed["choices"], config["choices"]):
            where |= {"task": task, "criterion": criterion}
        config |= {"sparsity": sparsity, "seed": seed}
        config["trainer"]["learning_rate"] = rate
        changed |= {"id": f"{number:016x}", "seed": seed, "metric": changed["metric"] - (number % 7) / 100}
        changed["sparsity"] |= {"target": sparsity, "measured": sparsity}
        new = folder / f"{task}-{criterion}-{number}"
        (new / "model").mkdir(parents=True)
        for name, promised in changed["promised"].items():
            if name.startswith("model/"):
                with (new / name).open("wb") as file:
                    os.truncate(file.fileno(), promised["bytes"])  # a hole: no disk is taken
            else:
                shutil.copy(run / name, new / name)
        shutil.copy(run / "config.yaml", new / "config.yaml")
        (new / "result.json").write_text(json.dumps(changed, indent=2))


def made(folder: Path) -> Path:
    words = (
        "run task=mrpc model=tiny_bert model.random.num_hidden_layers=12 data=synthetic data.train=200 data.validation=100"
        f" tracking=none trainer.max_steps=480 trainer.batch_size=8 trainer.eval_steps=20 output_dir={folder}"
    )
    timed(*words.split())
    return next(path.parent for path in folder.glob("*/result.json"))


def timed(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "prune_cli", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


SCROLL = """async () => {
  const box = document.querySelector("#table").parentElement, frames = [];
  let last = performance.now();
  for (let step = 0; step < 60; step++) {
    box.scrollTop += 120;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
  }
  frames.sort((a, b) => a - b);
  return [frames[30], frames[57]];
}"""
FILTER = """async (text) => {
  const field = document.querySelector("#filter"), began = performance.now();
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""


def felt(page_file: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        print("no chromium here: how the page feels is not measured")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        began = time.perf_counter()
        page.goto(page_file.as_uri())
        page.wait_for_selector("html[data-ready=yes]", timeout=60_000)
        print(f"page is there and drawn after   {time.perf_counter() - began:6.2f} s")
        median, slow = page.evaluate(SCROLL)
        print(f"a frame while scrolling         {median:6.1f} ms, {slow:.1f} ms the slowest but two of 60")
        took = [page.evaluate(FILTER, text) for text in ("rte", "rte pins 0.9", "zzz", "")]
        print(f"filtering, slowest of four      {max(took):6.1f} ms")
        browser.close()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory() as temporary:
        runs, page = Path(temporary) / "runs", Path(temporary) / "report.html"
        run = made(Path(temporary) / "one")
        layers = len(json.loads((run / "result.json").read_text())["layers"])
        evaluations = (run / "history.jsonl").read_text().count("layer_sparsity")
        copied(run, runs, count)
        print(f"{count} runs, each of {layers} layers and {evaluations} evaluations")
        compared = min(timed("compare", str(runs)) for _ in range(3))
        reported = min(timed("report", str(runs), "-o", str(page)) for _ in range(2))
        print(f"prune compare                   {compared:6.2f} s, best of three")
        print(f"prune report                    {reported:6.2f} s, best of two")
        print(f"the page                        {page.stat().st_size / 1e6:6.2f} MB")
        felt(page)


if __name__ == "__main__":
    main()
