"""What embedding costs: `python tests/benchmarks/embedding.py [--texts 512 --rounds 5 --ways torch onnx as-it-comes]`.

Prints a Markdown table of texts per CPU-second, medians of rounds in which all ways take turns, and as shares of what
this core could do if it did nothing but the model's matrix products, without padding, at the rate at which it does them
in the same round:

    sgemm         that limit, at the rate of square matrices of 2,048
    shapes        the same, at the rate of matrices of the model's shapes
    torch         LocalEncoder
    onnx          the same by ONNX Runtime, where it is installed; int8 and bfloat16 are other vector spaces
    int8
    bfloat16      by torch, where the processor computes in it
    as-it-comes   SentenceTransformer.encode with its defaults

Each way runs in a process of its own, on one thread. The texts are of 10 to 60 tokens, as personas are, in no order.

On two cores with AVX-512 beside much other work (loads of 3 to 58), of the limit in shapes: transformers' own forward
pass came to 0.68, OpenVINO 2026.4 in float32 to 0.75 to 0.79, ONNX Runtime to 0.66 to 0.81, torch as it is now to 0.63
to 0.81. In the last such run (load 36 to 58) torch came to 0.74 of sgemm, 0.79 of shapes and 1.26 times as-it-comes,
onnx to 0.67, 0.73 and 1.18. Weights packed ahead, by MKL or oneDNN, multiply no faster. What is left beside the
products is attention (9 %), GELU (3 %), copies (3 %), norms (2 %) and tokenising (1.5 %).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from actors.encoder import Backend, Encoding, Precision

WAYS = {
    "sgemm": None,
    "shapes": None,
    "torch": Encoding(),
    "onnx": Encoding(backend=Backend.ONNX),
    "int8": Encoding(backend=Backend.ONNX, precision=Precision.INT8),
    "bfloat16": Encoding(precision=Precision.BFLOAT16),
    "as-it-comes": None,
}
QUIET = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
LIMITS = ("sgemm", "shapes")
ROWS, SQUARE = 768, 2048  # of a matrix product: the tokens of a batch, and of the square one
WORDS = """
a the who in of and with teacher nurse farmer retired young widow from Accra Oslo Lima repairs sells grows bees her
bicycles radios maps worries about rent hopes to learn Portuguese finish school open bakery his antibiotics brother
allotments restores violins collects tickets harbour evening mountain village translator apprentice
"""


def texts(count: int) -> list[str]:
    draw, words = random.Random(0), WORDS.split()
    return [" ".join(draw.choices(words, k=draw.randint(7, 45))) for _ in range(count)]


def way(name: str, count: int) -> None:
    """In a process of its own: for each line of input, CPU seconds of one round."""
    import torch

    torch.set_num_threads(1)
    work, share = products(name, count) if name in LIMITS else (encoder(name, texts(count)), 1.0)
    work()
    for _ in sys.stdin:
        begun = time.process_time()
        work()
        print((time.process_time() - begun) / share, flush=True)


def has_bfloat16() -> bool:
    import torch

    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def encoder(name: str, told: list[str]):
    from sentence_transformers import SentenceTransformer

    from actors.local_encoder import LocalEncoder, locate

    if WAYS[name]:
        ours = LocalEncoder(WAYS[name])
        return lambda: ours.encode(told)
    model = SentenceTransformer(locate(Encoding().model))
    return lambda: model.encode(told, normalize_embeddings=True, show_progress_bar=False)


def products(name: str, count: int):
    """Matrix products of about as many operations as there are in the texts, square ones or those of the model's layers
    for `ROWS` tokens at a time; and how much that is of all operations on the texts, attention included."""
    import torch
    from transformers import AutoConfig, AutoTokenizer

    from actors.local_encoder import locate

    source = locate(Encoding().model)
    shape = AutoConfig.from_pretrained(source)
    tokens = [len(ids) for ids in AutoTokenizer.from_pretrained(source)(texts(count))["input_ids"]]
    wide, narrow = shape.intermediate_size, shape.hidden_size
    shapes = [(narrow, narrow)] * 4 + [(narrow, wide), (wide, narrow)]
    attention = sum(4 * number * number * narrow for number in tokens) * shape.num_hidden_layers
    per_row = sum(2 * a * b for a, b in shapes) * shape.num_hidden_layers
    total = sum(tokens) * per_row + attention
    print(f"{sum(tokens) / count:.1f} {total / count / 1e6:.0f}", flush=True)
    shapes = [(SQUARE, SQUARE)] if name == "sgemm" else shapes * shape.num_hidden_layers
    rows = SQUARE if name == "sgemm" else ROWS
    given = {size: torch.randn(rows, size) for size, _ in shapes}
    pairs = [(given[size[0]], torch.randn(size)) for size in shapes]
    once = sum(2 * rows * a * b for a, b in shapes)
    passes = max(1, round(total / once))

    def work() -> None:
        with torch.inference_mode():
            for _ in range(passes):
                for one, other in pairs:
                    one @ other

    return work, passes * once / total


def start(name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--way", name, "--texts", str(count)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | QUIET,
    )


def rounds(names: list[str], count: int, number: int) -> tuple[list[str], dict[str, list[float]]]:
    """Tokens and MFLOP of a text on average, and texts per CPU-second of each way in each round."""
    processes = {name: start(name, count) for name in names}
    [told, _] = [processes[name].stdout.readline().split() for name in LIMITS]
    found: dict[str, list[float]] = {name: [] for name in names}
    for at in range(number):
        for name in names if at % 2 == 0 else reversed(names):
            processes[name].stdin.write("\n")
            processes[name].stdin.flush()
            found[name].append(count / float(processes[name].stdout.readline()))
    for process in processes.values():
        process.communicate()
    return told, found


def table(found: dict[str, list[float]]) -> None:
    """Ratios are medians of the ratios of each round."""

    def times(name: str, other: str) -> float:
        return statistics.median(one / two for one, two in zip(found[name], found[other], strict=True))

    others = [name for name in (*LIMITS, "as-it-comes") if name in found]
    print("|way|texts per CPU-second|", *(f"× {name}|" for name in others), sep="")
    print("|---|---|", "---|" * len(others), sep="")
    for name, rates in found.items():
        print(f"|{name}|{statistics.median(rates):,.0f}|", *(f"{times(name, one):.2f}|" for one in others), sep="")


def main() -> None:
    installed = all(importlib.util.find_spec(name) for name in ("onnxruntime", "onnx"))
    able = [name for name in WAYS if installed or name not in ("onnx", "int8")]
    if not has_bfloat16():
        able.remove("bfloat16")
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", nargs="*", choices=able, default=able)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        way(options.way, options.texts)
        return
    load = f"{os.getloadavg()[0]:.1f}"
    names = list(dict.fromkeys([*LIMITS, *options.ways]))
    (tokens, megaflop), found = rounds(names, options.texts, options.rounds)
    sgemm, shapes = (statistics.median(found[name]) * float(megaflop) / 1000 for name in LIMITS)
    print(
        f"{options.rounds} rounds of {options.texts} texts of {tokens} tokens and {megaflop} MFLOP on average;", end=" "
    )
    print(f"one core at {sgemm:.0f} GFLOP/s, {shapes:.0f} in shapes; load {load} → {os.getloadavg()[0]:.1f}\n")
    table(found)


if __name__ == "__main__":
    main()
