from io import StringIO

import pyarrow as pa
import pytest
from rich.console import Console

from actors.logic import tables
from actors.logic.persona import Persona
from cluster.errors import UserError
from cluster.manifest import Manifest
from cluster.parts import write_part
from pipelines.tree import show


def person(document: str, number: str, parent: str | None, depth: int, text: str, relation: str) -> Persona:
    return Persona(
        f"{document}-{number}", document, parent and f"{document}-{parent}", depth, text, relation, "", "", 0
    )


def grown(document: str) -> list[Persona]:
    return [
        person(document, "a", None, 0, "A nurse who works at night.", "read"),
        person(document, "b", None, 0, "A baker.", "dislike"),
        person(document, "c", "a", 1, "A porter " + "of the same ward " * 20, "colleague"),
        person(document, "d", "b", 1, "A miller.", "friend"),
        person(document, "e", "c", 2, "A sister of the porter.", "relative"),
    ]


@pytest.fixture
def run(tmp_path):
    """A run of two parts: ten documents with a tree each, and one without any persona."""
    manifest = Manifest(tmp_path / "manifest.json", "run", {"seed": 4})
    for part in ("p0", "p1"):
        names = [f"{part}-{number}" for number in range(5)]
        texts = [{"document_id": name, "text": f"The text of\n{name}.", "source": "s"} for name in names]
        empty = [{"document_id": "empty", "text": "Nobody.", "source": "s"}] * (part == "p1")
        write_part(tmp_path / "documents", part, pa.Table.from_pylist(texts + empty, tables.DOCUMENTS))
        write_part(tmp_path / "personas", part, tables.personas([one for name in names for one in grown(name)]))
        manifest.personas.parts[part] = {"active": 5, "documents": 5 + len(empty), "personas": 25}
    manifest.save()
    return tmp_path


def shown(run, document: str | None = None, width: int = 60) -> list[str]:
    out = StringIO()
    show(run, Console(file=out, width=width), document)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_tree_has_every_persona_below_its_parent_with_depth_and_relation(run):
    lines = shown(run, "p1-2")
    assert lines[0] == "p1-2 5 personas The text of p1-2."
    assert lines[1] == "├── 0 read: A nurse who works at night."
    assert lines[2].startswith("│   └── 1 colleague: A porter of the same ward")
    assert lines[3:] == [
        "│       └── 2 relative: A sister of the porter.",
        "└── 0 dislike: A baker.",
        "    └── 1 friend: A miller.",
    ]


@pytest.mark.parametrize("width", [40, 60, 100])
def test_texts_are_cut_to_the_width(run, width):
    lines = shown(run, "p0-0", width)
    assert len(lines) == 6 and len(lines[2]) == width and lines[2].endswith("…")


def test_without_a_document_the_seed_chooses_a_few(run):
    def roots() -> list[str]:
        return [line.split()[0] for line in shown(run) if line.startswith("p")]

    chosen = roots()
    assert len(set(chosen)) == 3 and roots() == chosen
    manifest = Manifest(run / "manifest.json", "run", {"seed": 5})
    manifest.personas.parts = {"p0": {"active": 5}, "p1": {"active": 5}}
    manifest.save()
    assert roots() != chosen


def test_a_document_that_is_not_there_or_has_nobody_is_told(run):
    with pytest.raises(UserError, match="no finished document nowhere"):
        shown(run, "nowhere")
    with pytest.raises(UserError, match="the document empty has no persona"):
        shown(run, "empty")


def test_a_folder_that_is_no_run_is_told(tmp_path):
    with pytest.raises(UserError, match="is no run"):
        show(tmp_path / "other", Console(file=StringIO()))


def test_a_run_without_personas_is_told(tmp_path):
    Manifest(tmp_path / "manifest.json", "run", {}).save()
    with pytest.raises(UserError, match="no personas yet"):
        show(tmp_path, Console(file=StringIO()))
