"""How other tools keep near-duplicates out: `dedup_peers.py WAY FOLDER`, by a Python that has them.

FOLDER holds texts.jsonl (a string a line) and vectors.npy (n × d, float32). For each line of input all texts are gone
through once from the beginning; the answer is a line with the CPU-seconds that it took, imports and reading left out,
and the number of texts that a way with vectors would have had to embed. The rows kept are then in kept-WAY.npy. Knows
nothing of populace; near_duplicates.py starts it.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np

PINS = ["semhash==0.5.0", "vicinity==0.4.6", "usearch==2.26.6", "datasketch==2.0.0", "rensa==0.5.0", "numpy==2.4.6"]
COSINE, PERMUTATIONS = 0.9, 128

Work = Callable[[], tuple[Sequence[int], int]]
"""One round: the rows kept, and how many texts were embedded."""


def semhash(texts: list[str], vectors: np.ndarray, backend: str) -> tuple[list[int], int]:
    """`from_embeddings` is given all vectors; `from_records` asks for those of distinct texts."""
    from semhash import SemHash

    records = [{"row": row, "text": text} for row, text in enumerate(texts)]
    built = SemHash.from_embeddings(vectors, records, model=None, columns=["text"], ann_backend=backend)
    return [record["row"] for record in built.self_deduplicate(COSINE).selected], len(set(texts))


def datasketch(texts: list[str], jaccard: float) -> tuple[list[int], int]:
    from datasketch import MinHash, MinHashLSH

    kept, index = [], MinHashLSH(threshold=jaccard, num_perm=PERMUTATIONS)
    sets = ([word.encode() for word in words(text)] for text in texts)
    for row, sketch in enumerate(MinHash.generator(sets, num_perm=PERMUTATIONS)):
        if not index.query(sketch):
            index.insert(row, sketch)
            kept.append(row)
    return kept, 0


def rensa(texts: list[str], jaccard: float) -> tuple[list[int], int]:
    from rensa import RMinHashDeduplicator

    index = RMinHashDeduplicator(threshold=jaccard, num_perm=PERMUTATIONS, use_lsh=True)
    admitted = index.add_pairs((str(row), words(text)) for row, text in enumerate(texts))
    return [row for row, is_new in enumerate(admitted) if is_new], 0


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


WAYS = {
    "semhash": lambda texts, vectors: partial(semhash, texts, vectors, "usearch"),
    "semhash, exact": lambda texts, vectors: partial(semhash, texts, vectors, "basic"),
    "datasketch .9": lambda texts, vectors: partial(datasketch, texts, 0.9),
    "datasketch .7": lambda texts, vectors: partial(datasketch, texts, 0.7),
    "rensa .9": lambda texts, vectors: partial(rensa, texts, 0.9),
    "rensa .7": lambda texts, vectors: partial(rensa, texts, 0.7),
}


def read(folder: Path) -> tuple[list[str], np.ndarray]:
    texts = [json.loads(line) for line in (folder / "texts.jsonl").read_text(encoding="utf-8").splitlines()]
    return texts, np.load(folder / "vectors.npy")


def serve(work: Work, target: Path) -> None:
    for _ in sys.stdin:
        began = time.process_time()
        kept, embedded = work()
        took = time.process_time() - began
        np.save(target, np.array(kept, np.int64))
        print(took, embedded, flush=True)


def main() -> None:
    way, folder = sys.argv[1], Path(sys.argv[2])
    import_module(re.split(r"\W", way)[0])
    serve(WAYS[way](*read(folder)), folder / f"kept-{way}.npy")


if __name__ == "__main__":
    main()
