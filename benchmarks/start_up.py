"""Seconds that a job of a multirun takes beside its training and evaluations: reading, encoding, loading, saving, pictures.

    python benchmarks/start_up.py task=squad model=minilm data=local data.path=FOLDER

runs the multirun of three seeds in one process, 20 steps each, and tells what each job took.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MAIN = "import sys; from prune_cli.cli import main; sys.argv[0] = 'prune'; main()"
DEFAULT = ["task=mrpc", "model=tiny_bert", "data=synthetic"]
SHORT = ["tracking=none", "trainer.max_steps=20", "sparsity=0.5"]


def main() -> None:
    given = sys.argv[1:] or DEFAULT
    with tempfile.TemporaryDirectory() as folder:
        for cache in ("empty", "filled"):
            runs = Path(folder) / cache
            command = [sys.executable, "-c", MAIN, "run", "-m", *given, *SHORT, "seed=1,2,3", f"output_dir={runs}"]
            began = time.time()
            environment = {**os.environ, "XDG_CACHE_HOME": folder}
            ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            if ended.returncode != 0:
                sys.exit(ended.stderr)
            [sweep] = (runs / ".multirun").iterdir()
            before = began
            for path in sorted(sweep.glob("[0-9]*.json")):
                ended, job = path.stat().st_mtime, json.loads(path.read_text())
                beside = ended - before - job["result"]["seconds"]["total"]
                first = ", imports and planning among them" if before == began else ""
                print(f"cache {cache}, job {job['number']}: {beside:.2f} s beside training and evaluations{first}")
                before = ended


if __name__ == "__main__":
    main()
