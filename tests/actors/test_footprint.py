import os
import subprocess
import sys
from pathlib import Path

import pytest

from actors.logic.footprint import footprint

ROOT = Path(__file__).parents[2]
MEASURE = """
import re, sys
from pathlib import Path
import faiss
import numpy as np
from actors.index import PersonaIndex, Tiers

folder, count, flat_rows, fill = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "fill"

def anonymous():
    return 1024 * int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

faiss.IndexFlatIP(4).search(np.zeros((1, 4), np.float32), 1) if not fill else None
before = anonymous()
index = PersonaIndex(384, folder, "m", Tiers(flat_rows=flat_rows, recall=0.3))
rng = np.random.default_rng(0)
for _ in range(0, count if fill else 0, 5000):
    vectors = rng.normal(size=(5000, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index.keep([rng.bytes(12) for _ in vectors], [rng.bytes(16) for _ in vectors], vectors)
index.settle()
index.close()
print(anonymous() - before)
"""


def grown(folder: Path, count: int, flat_rows: int, step: str) -> int:
    """Bytes of memory that opening (or filling) an index took a process of its own."""
    command = [sys.executable, "-c", MEASURE, str(folder), str(count), str(flat_rows), step]
    surroundings = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=surroundings, text=True).stdout)


@pytest.mark.parametrize("count", [60_000])
def test_a_flat_index_takes_what_is_planned(tmp_path, count):
    grown(tmp_path, count, 10**9, "fill")
    disk = sum(path.stat().st_size for path in tmp_path.iterdir())
    plan = footprint(count)
    assert disk == pytest.approx(plan.disk, rel=0.05)
    assert plan.memory / 2 < grown(tmp_path, count, 10**9, "open") < 1.2 * plan.memory


def test_inverted_lists_take_what_is_planned(tmp_path):
    count = 60_000
    grown(tmp_path, count, 20_000, "fill")
    index = sum(path.stat().st_size for path in tmp_path.glob("index-*"))
    lists = 4 * 1024 * 384
    assert index == pytest.approx(count * (384 // 8 + 8) + lists, rel=0.1)


@pytest.mark.parametrize(
    ("personas", "shards", "memory_gb", "disk_gb"),
    [(10**9, 50, (100, 160), (800, 900)), (10**6, 1, (0.1, 0.3), (0.7, 1))],
)
def test_the_plan_for_large_corpora(personas, shards, memory_gb, disk_gb):
    found = footprint(personas, shards=shards)
    assert memory_gb[0] <= found.memory / 1e9 <= memory_gb[1]
    assert disk_gb[0] <= found.disk / 1e9 <= disk_gb[1]


def test_signatures_take_128_bytes_of_disk_more():
    assert footprint(1000, minhash=True).disk - footprint(1000).disk == 128_000
