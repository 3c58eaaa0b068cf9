import json
from pathlib import Path

import pytest

from cluster.errors import UserError
from cluster.manifest import VERSION, Lap, Manifest, Stage, load


def begun(folder: Path) -> Manifest:
    manifest = Manifest(folder / "manifest.json", "abc123", {"seed": 0, "documents.path": ["größe.txt"]})
    manifest.facts["growth"] = {"depth": 2}
    manifest.personas.parts["p"] = {"documents": 3, "personas": 14}
    manifest.conversations.parts["0-p-0000"] = {"rows": 100, "failures": 1}
    manifest.laps.append(Lap(101, 100))
    return manifest


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message and "--fresh" in message and "\n" not in message
    return message


def test_a_run_that_has_none_has_none(tmp_path):
    assert load(tmp_path / "manifest.json") is None
    assert load(tmp_path / "no" / "folder" / "manifest.json") is None


def test_what_was_saved_is_loaded_again(tmp_path):
    manifest = begun(tmp_path)
    manifest.personas.done = manifest.laps[0].done = True
    manifest.save()
    again = load(tmp_path / "manifest.json")
    assert again is not None
    for name in (
        "path",
        "run_id",
        "settings",
        "facts",
        "personas",
        "conversations",
        "laps",
        "bios",
        "bio_laps",
        "version",
    ):
        assert getattr(again, name) == getattr(manifest, name), name


def test_a_manifest_of_before_there_were_bios_has_none(tmp_path):
    begun(tmp_path).save()
    content = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    del content["bios"], content["bio_laps"]
    (tmp_path / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    again = load(tmp_path / "manifest.json")
    assert again is not None and again.bios.parts == {} and again.bio_laps == []


def test_the_file_is_json_that_a_person_can_read(tmp_path):
    begun(tmp_path).save()
    text = (tmp_path / "manifest.json").read_text(encoding="utf-8")
    assert "größe.txt" in text
    assert json.loads(text).keys() == {
        "run_id",
        "settings",
        "facts",
        "personas",
        "conversations",
        "laps",
        "bios",
        "bio_laps",
        "version",
    }


def test_a_save_leaves_one_whole_file(tmp_path):
    manifest = begun(tmp_path)
    for _ in range(3):
        manifest.save()
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_saves_that_are_not_urgent_are_written_once_a_second_at_most(tmp_path):
    manifest = begun(tmp_path)
    manifest.save(now=False)
    manifest.personas.done = True
    manifest.save(now=False)
    assert not load(tmp_path / "manifest.json").personas.done
    manifest.save()
    assert load(tmp_path / "manifest.json").personas.done


def test_a_stage_counts_its_parts():
    stage = Stage(parts={"a": {"rows": 3}, "b": {"rows": 4, "failures": 1}})
    assert (stage.total("rows"), stage.total("failures"), stage.total("nothing")) == (7, 1, 0)
    assert Stage().total("rows") == 0


def test_two_manifests_share_nothing(tmp_path):
    one, other = (Manifest(tmp_path / name, name, {}) for name in "ab")
    one.personas.parts["p"] = {"rows": 1}
    one.laps.append(Lap(1, 1))
    assert (other.personas.parts, other.laps) == ({}, [])


@pytest.mark.parametrize("content", [b"", b"{", b"not json", b"\xff\xfe", b'{"version": 1'])
def test_a_broken_file_is_refused(tmp_path, content):
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    assert "is no manifest" in refusal(path)


@pytest.mark.parametrize(
    ("content", "found"), [('{"version": 99}', "99"), ("{}", "None"), ("[]", "None"), ('"x"', "None")]
)
def test_a_file_of_another_version_is_refused_and_both_versions_are_named(tmp_path, content, found):
    path = tmp_path / "manifest.json"
    path.write_text(content)
    assert f"of version {found}, this populace writes {VERSION}" in refusal(path)


@pytest.mark.parametrize("lacks", ["run_id", "settings", "facts", "personas", "conversations", "laps"])
def test_a_file_that_lacks_something_is_refused(tmp_path, lacks):
    begun(tmp_path).save()
    path = tmp_path / "manifest.json"
    content = json.loads(path.read_text())
    del content[lacks]
    path.write_text(json.dumps(content))
    refusal(path)
