import pyarrow as pa
import pytest

from cluster.errors import Halt
from cluster.manifest import Manifest
from cluster.parts import write_part
from pipelines.settings import parse
from pipelines.stopping import Enough, Stopping, is_enough


@pytest.fixture
def run(tmp_path):
    """`run(personas=5)`: the settings, and the manifest of a run without parts."""

    def make(**stop):
        content = {
            "run_dir": str(tmp_path),
            "documents": {"path": ["a.txt"]},
            "llm": {"endpoints": [{"base_url": "http://h/v1", "model": "m"}]},
            "conversations": {"stop": stop},
        }
        return parse(content), Manifest(tmp_path / "manifest.json", "run", {})

    return make


def part(settings, manifest, number, personas, failures=0):
    """Writes and names a part of these personas, each of a document of its own for every two."""
    ids = {"persona_id": [f"p{one}" for one in personas], "document_ids": [[f"d{one // 2}"] for one in personas]}
    schema = pa.schema([("persona_id", pa.string()), ("document_ids", pa.list_(pa.string()))])
    write_part(settings.folder / "conversations", f"0-a-{number}", pa.table(ids, schema))
    counts = {"rows": len(personas), "failures": failures}
    manifest.conversations.parts[f"0-a-{number}"] = counts
    return f"0-a-{number}", counts


def test_it_stops_when_so_many_distinct_personas_have_spoken(run):
    settings, manifest = run(personas=5)
    with Stopping(settings, manifest, 0.0) as stopping:
        stopping.after(*part(settings, manifest, 0, [1, 2, 3, 1, 2]), 1.0)
        with pytest.raises(Enough, match=r"5 personas have spoken \(conversations.stop.personas: 5\)"):
            stopping.after(*part(settings, manifest, 1, [3, 4, 5]), 2.0)


def test_it_stops_when_so_many_distinct_documents_were_talked_about(run):
    settings, manifest = run(documents=3, personas=100)
    with Stopping(settings, manifest, 0.0) as stopping:
        stopping.after(*part(settings, manifest, 0, [0, 1, 2, 3]), 1.0)
        with pytest.raises(Enough, match="3 documents were talked about"):
            stopping.after(*part(settings, manifest, 1, [4]), 2.0)


def test_what_earlier_sessions_made_counts(run):
    settings, manifest = run(personas=5)
    part(settings, manifest, 0, [1, 2, 3, 4])
    with Stopping(settings, manifest, 0.0) as stopping, pytest.raises(Enough):
        stopping.after(*part(settings, manifest, 1, [5]), 1.0)
    with pytest.raises(Enough), Stopping(settings, manifest, 0.0):
        pass


def test_an_aim_that_was_reached_is_one_until_it_is_raised(run):
    settings, manifest = run(personas=2)
    part(settings, manifest, 0, [1, 2, 3])
    with pytest.raises(Enough), Stopping(settings, manifest, 0.0):
        pass
    assert is_enough(settings.conversations.stop, manifest.facts)
    assert is_enough(run(personas=3)[0].conversations.stop, manifest.facts)
    assert not is_enough(run(personas=4)[0].conversations.stop, manifest.facts)
    assert not is_enough(run()[0].conversations.stop, manifest.facts)


def test_it_stops_when_the_time_is_over_with_work_undone(run):
    settings, manifest = run(seconds=60)
    with Stopping(settings, manifest, 100.0) as stopping:
        stopping.after(*part(settings, manifest, 0, [1]), 159.0)
        with pytest.raises(Halt, match="60 s are over") as caught:
            stopping.after(*part(settings, manifest, 1, [2]), 160.0)
    assert not isinstance(caught.value, Enough)


def test_it_stops_when_most_dialogues_fail_but_not_at_the_first(run):
    settings, manifest = run()
    with Stopping(settings, manifest, 0.0) as stopping:
        stopping.after(*part(settings, manifest, 0, range(9), failures=50), 1.0)
        stopping.after(*part(settings, manifest, 1, range(50), failures=9), 1.0)
        with pytest.raises(Halt, match=r"119 of 178 dialogues failed, more than .*error_rate \(0\.5\)"):
            stopping.after(*part(settings, manifest, 2, [], failures=60), 1.0)


def test_a_rule_that_is_left_out_stops_nothing(run):
    settings, manifest = run(error_rate=None)
    with Stopping(settings, manifest, 0.0) as stopping:
        stopping.after(*part(settings, manifest, 0, [1], failures=1000), 1e9)
