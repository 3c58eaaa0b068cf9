import copy
import json
from pathlib import Path

import pytest

from cluster.errors import UserError
from cluster.files import RunLock
from cluster.journal import prepare
from cluster.manifest import Lap, Manifest
from pipelines.run_folder import lasting, open_run
from pipelines.settings import Settings, parse

KEY = "sk-secret"
OURS = {
    "documents/part-a.parquet",
    "personas/part-a.parquet",
    "rejected/part-a.parquet",
    "failures/part-a.parquet",
    "failures/part-0-a-0000.parquet",
    "failures/part-documents.parquet",
    "conversations/part-0-a-0000.parquet",
    "rejected_conversations/part-0-a-0000.parquet",
    "openings/log-00001.arrows",
    "bios/part-people-0000000000.parquet",
    "bios/variables.yaml",
    "journal/w-0.jsonl",
    "journal/index/0.run",
    "journal/compaction.json",
    "journal/.lock",
    "dedup/log-00001.arrows",
    "dedup/segment-00000.arrow",
    "dedup/index-000000065536-0a-0b.faiss",
    "dedup/.index.faiss.tmp",
    "manifest.json",
    "metrics.json",
    "README.md",
}
THEIRS = {
    "notes.txt",
    "config.yaml",
    "corpus/one.txt",
    "personas.txt",
    "documents/corpus.txt",
    "documents/part-1.txt",
    "personas/notes.md",
    "bios/notes.md",
    "journal/notes.md",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


def settings(folder: Path, *overrides: str) -> Settings:
    content = {
        "run_dir": str(folder),
        "documents": {"path": ["a.txt"]},
        "bios": {"description": "A town"},
        "llm": {"endpoints": [{"base_url": "http://h/v1", "model": "m", "keys": ["env:A"]}]},
    }
    return parse(copy.deepcopy(content), overrides)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {".lock"}


def opened(folder: Path, *overrides: str, fresh: bool = False) -> Manifest:
    with open_run(settings(folder, *overrides), "populace run", fresh) as manifest:
        return manifest


def refusal(folder: Path, *overrides: str, fresh: bool = False) -> str:
    with pytest.raises(UserError) as caught:
        opened(folder, *overrides, fresh=fresh)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def begun(folder: Path, laps: int = 1, overrides: tuple[str, ...] = ()) -> None:
    """A run that has made a persona part, a part of bios and, in `laps` rounds, a part of conversations."""
    with open_run(settings(folder, *overrides), "populace run") as manifest:
        manifest.personas.parts["a"] = {"documents": 1, "active": 1}
        manifest.bios.parts["people-0000000000"] = {"rows": 10, "failures": 0, "again": 0}
        if laps:
            manifest.laps.append(Lap(1000, 100))
            manifest.conversations.parts["0-a-0000"] = {"rows": 100}
        manifest.save()
        touch(folder, *OURS - {"manifest.json"})


# --- opening


def test_a_new_run_has_a_folder_and_a_manifest_before_anything_is_made(folder):
    manifest = opened(folder / "deep")
    assert files(folder / "deep") == {"manifest.json"}
    assert manifest.settings["seed"] == 0
    assert not manifest.personas.parts and not manifest.laps


def test_a_run_that_is_opened_again_is_the_same_run(folder):
    begun(folder)
    one, other = opened(folder), opened(folder)
    assert one.run_id == other.run_id
    assert other.personas.parts == {"a": {"documents": 1, "active": 1}}
    assert files(folder) == OURS


def test_two_runs_have_names_of_their_own(folder):
    assert opened(folder / "a").run_id != opened(folder / "b").run_id


def test_a_file_is_no_folder(folder):
    folder.write_text("x")
    assert refusal(folder) == f"run_dir {folder} is a file; name a folder"
    assert folder.read_text() == "x"


def test_a_folder_below_a_file_is_refused(folder):
    folder.write_text("x")
    assert str(folder) in refusal(folder / "below")


def test_a_folder_that_another_run_works_in_is_refused_and_left_alone(folder):
    begun(folder)
    touch(folder, "personas/part-stray.parquet")
    before = files(folder)
    with RunLock(folder, "populace personas"):
        assert "is in use by process" in refusal(folder)
        assert "is in use by process" in refusal(folder, fresh=True)
    assert files(folder) == before


def test_the_folder_is_free_again_after_a_run_however_it_ends(folder):
    with pytest.raises(ZeroDivisionError), open_run(settings(folder), "populace run"):
        raise ZeroDivisionError
    opened(folder)
    begun(folder)
    refusal(folder, "seed=1")
    opened(folder)


@pytest.mark.parametrize("name", ["personas", "conversations", "bios"])
def test_parts_without_a_manifest_are_somebody_elses(folder, name):
    touch(folder, f"{name}/part-x.parquet")
    said = refusal(folder)
    assert f"holds {name}/ but no manifest.json" in said and "--fresh" in said
    assert files(folder) == {f"{name}/part-x.parquet"}


def test_a_manifest_that_is_none_is_refused_and_left_alone(folder):
    touch(folder, "manifest.json", "personas/part-x.parquet")
    assert "is no manifest" in refusal(folder)
    assert files(folder) == {"manifest.json", "personas/part-x.parquet"}


# --- strays


def test_what_a_killed_run_left_is_swept_and_what_counts_stays(folder):
    begun(folder)
    strays = {
        "documents/part-b.parquet",
        "personas/part-b.parquet",
        "rejected/part-b.parquet",
        "failures/part-b.parquet",
        "failures/part-0-b-0000.parquet",
        "conversations/part-0-b-0000.parquet",
        "rejected_conversations/part-0-b-0000.parquet",
        "conversations/.part-0-b-0001.parquet.77-0a0a0a0a.tmp",
        "personas/.part-a.parquet.77-0a0a0a0a.tmp",
        "bios/part-people-0000000100.parquet",
        "failures/part-people-0000000100.parquet",
    }
    touch(folder, *strays)
    opened(folder)
    assert files(folder) == OURS


def test_the_journal_and_the_index_of_personas_are_never_swept(folder):
    begun(folder)
    touch(folder, "journal/part-w-1.jsonl", "dedup/part-1.arrows")
    opened(folder)
    assert {"journal/part-w-1.jsonl", "dedup/part-1.arrows"} <= files(folder)


def test_opening_leaves_what_is_not_ours(folder):
    begun(folder)
    touch(folder, *THEIRS)
    opened(folder)
    assert files(folder) == OURS | THEIRS


def test_a_folder_of_documents_may_become_a_run_folder_and_keeps_them(folder):
    mine = {"documents/part-one.txt", "documents/counterpart-list.md", "conversations/part-time.csv", "README.md"}
    touch(folder, *mine)
    opened(folder)
    assert files(folder) == mine | {"manifest.json"}


# --- --fresh


def test_fresh_removes_all_that_a_run_made(folder):
    begun(folder)
    manifest = opened(folder, fresh=True)
    assert files(folder) == {"manifest.json"}
    assert not manifest.personas.parts


def test_fresh_removes_only_what_a_run_made(folder):
    begun(folder)
    touch(folder, *THEIRS)
    opened(folder, fresh=True)
    assert files(folder) == THEIRS | {"manifest.json"}


def test_fresh_in_a_folder_that_was_never_a_run_removes_nothing(folder):
    mine = {"README.md", "documents/one.txt", "journal/monday.md", "personas/anna.json"}
    touch(folder, *mine)
    opened(folder, fresh=True)
    assert mine <= files(folder)


def test_fresh_removes_the_journal_of_this_run_and_leaves_that_of_another(folder):
    begun(folder)
    prepare(folder / "journal", opened(folder).run_id)
    opened(folder, fresh=True)
    assert files(folder) == {"manifest.json"}
    prepare(folder / "journal", "another")
    touch(folder, "journal/paid-0.jsonl")
    opened(folder, fresh=True)
    assert {"journal/journal.json", "journal/paid-0.jsonl"} <= files(folder)


def test_fresh_begins_with_the_settings_of_now(folder):
    begun(folder)
    assert opened(folder, "seed=1", fresh=True).settings["seed"] == 1


def test_fresh_mends_a_manifest_that_is_none(folder):
    touch(folder, "manifest.json")
    assert opened(folder, fresh=True).run_id


# --- settings that changed


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed=1", "seed was 0 when"),
        ("documents.path=[b.txt]", "documents.path was ['a.txt'] when"),
        ("documents.text_field=body", "documents.text_field was 'text' when"),
        ("documents.kind=persona", "documents.kind was 'text' when"),
        ("personas.depth=2", "personas.depth was 'auto' when"),
        ("personas.dedup.threshold=0.5", "personas.dedup.threshold was 0.9 when"),
        ("conversations.max_turns=5", "conversations.max_turns was 3 when"),
        ("bios.kind=backstory", "bios.kind was 'bio' when"),
        ("bios.description=Mars", "bios.description was 'A town' when"),
        (
            "conversations.respondent_prompt=Hi",
            "conversations.respondent_prompt was 'You are a helpful assistant.' when",
        ),
    ],
)
def test_a_setting_that_parts_were_made_under_may_not_change(folder, override, said):
    begun(folder)
    refused = refusal(folder, override)
    value = override.partition("=")[2]
    assert refused.startswith(said)
    assert f"{folder} was begun" in refused and "--fresh" in refused
    assert value.strip("[]") in refused


EMBEDS = "personas.dedup.endpoint={base_url: http://h/v1, model: e, keys: [env:%s]}"


def test_an_audit_may_be_asked_for_later(folder):
    begun(folder)
    assert opened(folder, "audit.judge=true")


def test_a_baseline_may_be_asked_for_later(folder):
    begun(folder)
    assert opened(folder, "personas.baseline=100")


def test_who_embeds_may_not_change_but_its_keys_and_its_backend_may(folder):
    begun(folder)
    assert refusal(folder, EMBEDS % "ONE").startswith("personas.dedup.endpoint was None when")
    int8 = ["personas.dedup.backend=onnx", "personas.dedup.precision=int8"]
    assert refusal(folder, *int8).startswith("personas.dedup.precision was 'float32' when")
    assert opened(folder, "personas.dedup.backend=onnx")


def test_the_keys_of_an_endpoint_of_embeddings_may_change(folder):
    begun(folder, overrides=(EMBEDS % "ONE",))
    assert opened(folder, EMBEDS % "OTHER")
    assert "env:ONE" not in (folder / "manifest.json").read_text()


def test_a_refused_change_is_not_written_down(folder):
    begun(folder)
    for _ in range(2):
        refusal(folder, "seed=1")
    assert opened(folder).settings["seed"] == 0


@pytest.mark.parametrize("count", [1, 999, 5000])
def test_the_count_may_grow_and_shrink(folder, count):
    begun(folder)
    opened(folder, f"conversations.count={count}")


@pytest.mark.parametrize(
    "override",
    [
        "llm.endpoints.0.model=other",
        "llm.endpoints.0.base_url=http://elsewhere/v1",
        "llm.endpoints.0.keys=[file:keys.txt]",
        "llm.timeout_s=5",
        "cluster.callers.max=9",
        "bios.models=[m, n]",
        "bios.num_of_samples=7",
    ],
)
def test_where_it_runs_and_who_answers_may_change(folder, override):
    begun(folder)
    opened(folder, override)


def test_the_judges_threshold_may_be_lowered_where_too_few_pass(folder):
    begun(folder, overrides=("conversations.judge=true",))
    assert opened(folder, "conversations.judge=true", "conversations.threshold=0.5")
    assert "conversations.judge was True when" in refusal(folder)


def test_until_a_conversation_is_made_its_settings_may_change(folder):
    begun(folder, laps=0)
    assert opened(folder, "conversations.max_turns=5").settings["conversations.max_turns"] == 5
    assert "personas.depth was" in refusal(folder, "conversations.max_turns=5", "personas.depth=2")


def test_the_limit_of_documents_may_change_and_keeps_depth_and_admissions(folder):
    begun(folder)
    with open_run(settings(folder), "populace run") as manifest:
        manifest.facts["growth"] = {"depth": 2}
        manifest.save()
    assert opened(folder, "documents.limit=5").facts["growth"] == {"depth": 2}


def test_until_anything_is_made_everything_may_change(folder):
    opened(folder)
    assert opened(folder, "seed=1", "documents.path=[b.txt]").settings["seed"] == 1


@pytest.mark.parametrize("place", ["dedup", "dedup/shard-3"])
def test_depth_and_admissions_are_chosen_anew_for_settings_that_changed_before_anything_was_made(folder, place):
    with open_run(settings(folder), "populace run") as manifest:
        manifest.facts["growth"] = {"depth": 2}
        manifest.save()
    log = folder / place / "log-00001.arrows"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"admitted")
    assert opened(folder).facts["growth"] == {"depth": 2} and log.exists()
    assert "growth" not in opened(folder, "documents.kind=persona").facts and not log.exists()


def test_fresh_removes_what_every_shard_admitted(folder):
    begun(folder)
    for place in ("dedup", "dedup/shard-0", "dedup/shard-1", "openings", "openings/shard-0"):
        (folder / place).mkdir(parents=True, exist_ok=True)
        for name in ("log-00001.arrows", "segment-00000.arrow", "index-1-2-3.faiss", ".index.faiss.tmp"):
            (folder / place / name).write_bytes(b"x")
        (folder / place / "density").mkdir()
        (folder / place / "density" / "000001-1.run").write_bytes(b"x")
    with open_run(settings(folder), "populace run", fresh=True):
        assert not (folder / "dedup").exists() and not (folder / "openings").exists()


def test_a_run_from_before_there_were_kinds_of_documents_goes_on(folder):
    begun(folder)
    content = json.loads((folder / "manifest.json").read_text())
    del content["settings"]["documents.kind"]
    (folder / "manifest.json").write_text(json.dumps(content))
    assert opened(folder).settings["documents.kind"] == "text"


def test_the_settings_are_the_same_after_a_turn_through_the_file(folder):
    found = lasting(settings(folder))
    assert json.loads(json.dumps(found)) == found
    assert "conversations.count" not in found


def test_no_endpoint_and_no_key_is_written_down(folder, monkeypatch):
    monkeypatch.setenv("A", KEY)
    opened(folder)
    text = (folder / "manifest.json").read_text()
    assert KEY not in text and "http://h" not in text


def test_a_template_that_is_edited_under_a_run_is_refused_and_before_anything_is_made_taken(folder, tmp_path):
    template = tmp_path / "own.txt"
    template.write_text("Who reads {text}?")
    chosen = f"personas.prompts.text={template}"
    with open_run(settings(folder, chosen), "populace run") as manifest:
        manifest.facts["growth"] = {"depth": 2}
        manifest.save()
    template.write_text("Who writes {text}?")
    with open_run(settings(folder, chosen), "populace run") as manifest:
        assert "growth" not in manifest.facts
        manifest.personas.parts["a"] = {"documents": 1}
        manifest.save()
    template.write_text("Who likes {text}?")
    with pytest.raises(UserError, match=r"personas.prompts.text was '.*own.txt \(\w{12}\)' when"):
        opened(folder, chosen)


def test_how_long_a_retriever_may_take_can_be_changed_between_sessions(folder):
    asked = ["conversations.context=rag", "conversations.rag.retriever=mine:find"]
    short, long = (settings(folder, *asked, f"conversations.rag.timeout_s={one}") for one in (5, 60))
    assert lasting(short) == lasting(long)
    assert lasting(short) != lasting(settings(folder, *asked, "conversations.rag.top_k=9"))
