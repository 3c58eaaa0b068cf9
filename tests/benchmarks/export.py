"""What an export costs: rows per CPU second (all threads) and the memory at its peak, for every format and file kind.

    python tests/benchmarks/export.py [ROWS …]      default: 10000 1000000

The rows are dialogues of three exchanges about a document, about 1 kB of text in seven messages, in parts of 500 that
are put together as those of a run are; for `dpo` every row has a refused candidate. Each export is a process of its
own, split in three.
`--tools` gives every row a call of a tool instead, with its result, and measures `tools` and `sharegpt`.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa

from actors.logic import tables
from cluster.folder_swap import link_all, succeed
from cluster.manifest import Manifest
from cluster.parts import part_path, write_part
from pipelines.merging import MOST_ROWS, merge, put_together

HERE = Path(__file__).resolve().parent
PART = 500
WORDS = ["bread", "river", "“light”", "\nhouse", "work", "two", '"so"', "über"] + ["a", "of", "the", "to", "baker"] * 12
PARAMETERS = {"type": "object", "properties": {"place": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "now", "parameters": PARAMETERS}}]
MEASURED = """
import json, sys
from pathlib import Path
from rich.console import Console
from diversity import cpu, status
from pipelines.export import asked, export

before, job = status("VmRSS"), asked(Path(sys.argv[1]), sys.argv[2], sys.argv[3], None, "0.9,0.05,0.05", None)
done, spent = cpu(lambda: export(job, Console()))
print(json.dumps([done.rows.total(), done.left_out, spent, before, status("VmHWM")]))
"""


def fill(folder: Path, count: int, tools: bool) -> None:
    """A run with so many conversations, ten a document. Texts repeat after 20 parts, ids never."""
    rng, manifest = random.Random(0), Manifest(folder / "manifest.json", "benchmark", {"seed": 0})
    rows = [[row(rng, tools) for _ in range(PART)] for _ in range(min(20, -(-count // PART)))]
    accepted = [pa.Table.from_pylist(part, tables.CONVERSATIONS) for part in rows]
    refused = [[candidate(one, rng) for one in part] for part in rows]
    candidates = [pa.Table.from_pylist(part, tables.REJECTED_CONVERSATIONS) for part in refused]
    for number, start in enumerate(range(0, count, PART)):
        places = range(start, min(start + PART, count))
        ids = {"conversation_id": [f"{at:024x}" for at in places], "document_id": [f"{at // 10:024x}" for at in places]}
        for name, made in (("conversations", accepted), ("rejected_conversations", candidates)):
            part = made[number % len(made)].slice(0, len(places))
            for column, values in ids.items():
                part = part.set_column(part.schema.get_field_index(column), column, pa.array(values))
            if name == "conversations":
                about = pa.array([[one] for one in ids["document_id"]])
                part = part.set_column(part.schema.get_field_index("document_ids"), "document_ids", about)
            write_part(folder / name, f"{start:09}", part)
        manifest.conversations.parts[f"{start:09}"] = {"rows": len(places), "failures": 0}
    together(folder, manifest)
    manifest.save()


def together(folder: Path, manifest: Manifest) -> None:
    """The parts put together, as when a round of the run is over."""
    names, parts = sorted(manifest.conversations.parts), manifest.conversations.parts
    for number, at in enumerate(range(0, len(names), MOST_ROWS // PART)):
        group, target = names[at : at + MOST_ROWS // PART], f"0-{number:05d}"
        merge(folder, group, target)
        parts = put_together(parts, group, target)
        for kind in ("conversations", "rejected_conversations"):
            link_all(folder / kind, [part_path(folder, name).name for name in group])
            succeed(folder / kind)
    manifest.conversations.parts = parts


def row(rng: random.Random, tools: bool) -> dict[str, object]:
    said = [message("system", words(rng, 80))]
    for _ in range(3):
        said += [message("user", words(rng, 20)), message("assistant", words(rng, 50))]
    if tools:
        function = {"name": "weather", "arguments": json.dumps({"place": words(rng, 2)})}
        call = {"id": "call", "type": "function", "function": function}
        said[2:2] = [message("assistant", None, [call]), message("tool", words(rng, 8), to="call")]
    given = json.dumps(TOOLS) if tools else None
    return {"messages": said, "tools": given, "task": "dialogue", "scores": {"overall": 0.9}, "created_at": 0}


def candidate(row: dict[str, object], rng: random.Random) -> dict[str, object]:
    said = [*row["messages"][:-1], message("assistant", words(rng, 50))]
    return {
        "task": "dialogue",
        "created_at": 0,
        "messages": said,
        "scores": {"overall": 0.4},
        "reason": "score",
        "attempt": 1,
    }


def message(role: str, content: str | None, calls: list | None = None, to: str | None = None) -> dict[str, object]:
    return {"role": role, "content": content, "tool_calls": calls, "tool_call_id": to}


def words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choices(WORDS, k=count))


def main() -> None:
    tools = "--tools" in sys.argv
    formats = ["tools", "sharegpt"] if tools else ["messages", "sharegpt", "alpaca", "dpo"]
    for count in [int(one) for one in sys.argv[1:] if one.isdigit()] or [10_000, 1_000_000]:
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder), count, tools)
            for name in formats:
                for kind in ("jsonl", "parquet"):
                    command = [sys.executable, "-c", MEASURED, folder, name, kind]
                    environment = os.environ | {"PYTHONPATH": f"{HERE}:{HERE.parent.parent}"}
                    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
                    rows, left_out, spent, before, peak = json.loads(done.stdout)
                    assert rows == count and not left_out, (rows, left_out)
                    print(
                        f"{count:>9,} rows  {name:9} {kind:8} {rows / spent:>9,.0f} rows/CPU-s  "
                        f"peak {peak:,.0f} MB ({before:,.0f} before)",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
