import pickle
import subprocess
import sys
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from journals import environment

from cluster.errors import Halt, UserError
from cluster.files import atomic_path, write_atomically
from cluster.local_copies import local_copy, local_folder, put_folder, readable, remove, scratch
from cluster.object_path import ObjectPath, path_of
from cluster.parts import part_path, sweep, write_part


@pytest.fixture
def folder(object_store) -> ObjectPath:
    return path_of(f"s3://bucket/runs/{uuid.uuid4().hex}")


def test_a_place_in_a_bucket_is_named_as_a_path_is():
    place = path_of("s3://bucket/runs/first/")
    part = part_path(place / "personas", "a")
    assert (str(part), part.name, part.parent.name) == (
        "s3://bucket/runs/first/personas/part-a.parquet",
        "part-a.parquet",
        "personas",
    )
    assert (part.bucket, part.key) == ("bucket", "runs/first/personas/part-a.parquet")
    assert part.relative_to(place) == ObjectPath("personas/part-a.parquet")
    assert part.absolute() == part.resolve() == part
    assert not place.is_relative_to(Path.cwd())
    assert pickle.loads(pickle.dumps(part)) == part and path_of(str(part)) == part
    assert path_of("s3://bucket").key == ""


def test_folders_of_this_machine_stay_what_they_are(tmp_path):
    assert path_of(str(tmp_path)) == tmp_path == path_of(f"file://{tmp_path}")
    assert not isinstance(path_of("runs/first"), ObjectPath)
    assert scratch(tmp_path) == local_copy(tmp_path) == tmp_path


def test_objects_are_found_read_and_removed_as_files_are(folder):
    for name in ("personas/part-a.parquet", "personas/part-b.parquet", "dedup/shard-0/log-1", "manifest.json"):
        write_atomically(folder / name, name)
    assert sorted(path.name for path in (folder / "personas").glob("part-*.parquet")) == [
        "part-a.parquet",
        "part-b.parquet",
    ]
    assert [str(path) for path in folder.glob("dedup/shard-*/log-*")] == [f"{folder}/dedup/shard-0/log-1"]
    assert sorted(path.name for path in folder.iterdir()) == ["dedup", "manifest.json", "personas"]
    assert folder.is_dir() and not folder.is_file() and (folder / "dedup").exists()
    assert (folder / "manifest.json").is_file() and not (folder / "manifest.json").is_dir()
    assert (folder / "manifest.json").stat().st_size == len("manifest.json")
    with (folder / "manifest.json").open(encoding="utf-8") as file:
        assert file.read() == (folder / "manifest.json").read_text() == "manifest.json"
    remove(folder.glob("personas/*"))
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").unlink()
    assert [path.name for path in folder.iterdir()] == ["dedup"]


def test_what_is_not_there_is_a_missing_file(folder):
    assert not folder.exists() and list(folder.glob("*")) == []
    for ask in (folder.read_bytes, folder.stat, (folder / "x").read_text, (folder / "x").open):
        with pytest.raises(FileNotFoundError):
            ask()


def test_names_of_any_characters_come_back(folder):
    for name in ("ü ä", "a+b%20c", "ruß#1?", "名"):
        write_atomically(folder / name, name)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        name: name for name in ("ü ä", "a+b%20c", "ruß#1?", "名")
    }


def test_an_object_appears_whole_or_not_at_all(folder):
    write_atomically(folder / "x", "old")
    with pytest.raises(RuntimeError), atomic_path(folder / "x") as free:
        free.write_text("half")
        raise RuntimeError
    assert (folder / "x").read_text() == "old"
    with atomic_path(folder / "x") as free:
        free.write_bytes(b"x" * (12 << 20))  # put in several pieces
        assert (folder / "x").read_text() == "old"
    assert (folder / "x").stat().st_size == 12 << 20 and not free.parent.exists()


def test_parts_are_written_read_and_swept(folder):
    table = pa.table({"a": range(10), "b": ["x"] * 10})
    write_part(folder, "kept", table)
    write_part(folder, "stray", table)
    assert pq.read_table(readable(part_path(folder, "kept")), columns=["a"]).column("a").to_pylist() == list(range(10))
    assert sweep(folder, ["kept"]) == 1
    assert [path.name for path in folder.iterdir()] == ["part-kept.parquet"]


def test_of_a_large_part_only_what_is_wanted_is_asked_for(folder, object_store):
    table = pa.table({"small": range(100_000), "large": [f"{number:0100d}"[::-1] for number in range(100_000)]})
    with atomic_path(part_path(folder, "a")) as free:
        pq.write_table(table, free, compression="none", use_dictionary=False)
    before = object_store.requests("GET")
    found = pq.read_table(readable(part_path(folder, "a")), columns=["small"])
    assert found.column("small").to_pylist() == list(range(100_000))
    assert object_store.requests("GET") - before <= 8


def test_a_copy_follows_its_object(folder):
    write_atomically(folder / "x", "first")
    assert local_copy(folder / "x").read_text() == "first"
    assert local_copy(folder / "x") == local_copy(folder / "x")
    write_atomically(folder / "x", "second")
    assert local_copy(folder / "x").read_text() == "second"
    assert len(list(local_copy(folder / "x").parent.glob("*-x"))) == 1


def test_a_folder_of_runs_is_put_and_found_on_another_machine(folder, tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    for name in ("1.run", "2.run", "index.json"):
        (made / name).write_text(name)
    put_folder(made, folder / "map", "index.json")
    (made / "1.run").unlink()
    (made / "index.json").write_text("2 alone")
    put_folder(made, folder / "map", "index.json")
    found = local_folder(folder / "map", "index.json")
    assert {path.name: path.read_text() for path in found.iterdir()} == {"2.run": "2.run", "index.json": "2 alone"}


def test_a_store_that_fails_now_and_then_is_asked_again(folder, object_store):
    object_store.answer(every=3)
    for number in range(6):
        write_atomically(folder / f"{number}", f"{number}")
    assert [path.read_text() for path in sorted(folder.glob("*"))] == [f"{number}" for number in range(6)]
    remove(folder.glob("*"))
    assert not folder.is_dir()


@pytest.mark.parametrize(
    ("methods", "code", "said"),
    [
        (["GET"], "AccessDenied", "cannot be listed: the store refuses it (AccessDenied)"),
        (["PUT"], "AccessDenied", "cannot be written to: the store refuses it (AccessDenied)"),
        (["POST"], "AccessDenied", "cannot be removed from: the store refuses it (AccessDenied)"),
        (["GET"], "InvalidAccessKeyId", "does not take the credentials (InvalidAccessKeyId)"),
        (["GET"], "SignatureDoesNotMatch", "does not take the credentials (SignatureDoesNotMatch)"),
        (["GET"], "PermanentRedirect", "is in another region (PermanentRedirect); set AWS_REGION"),
    ],
)
def test_what_the_store_refuses_is_one_line(folder, object_store, methods, code, said):
    object_store.answer(status=403, code=code, methods=[*methods, *(["DELETE"] if methods == ["POST"] else [])])
    with pytest.raises(UserError) as caught:
        folder.check()
    assert str(folder) in str(caught.value) and said in str(caught.value) and "\n" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_said_so(object_store):
    with pytest.raises(UserError, match="s3://nowhere/run cannot be listed: there is no such bucket"):
        path_of("s3://nowhere/run").check()


def test_a_refusal_in_the_middle_is_a_halt(folder, object_store):
    object_store.answer(status=403, code="AccessDenied", methods=["PUT"])
    with pytest.raises(Halt, match=r"the store refuses it .* s3:PutObject"):
        write_part(folder, "a", pa.table({"a": [1]}))


def _said(code: str, tmp_path: Path, **surroundings: str) -> str:
    script = f"from cluster.object_path import path_of\ntry: path_of('s3://bucket/run').check()\n{code}"
    env = {name: value for name, value in environment().items() if not name.startswith("AWS_")}
    env |= {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"} | surroundings
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=True)
    return done.stdout.strip()


CAUGHT = "except Exception as error: print(type(error).__name__, error)"


def test_absent_credentials_are_said_so(tmp_path):
    assert _said(CAUGHT, tmp_path).startswith("UserError s3:// finds no credentials: set AWS_ACCESS_KEY_ID")


def test_credentials_of_a_profile_are_found(object_store, tmp_path):
    home = tmp_path / ".aws"
    home.mkdir()
    (home / "credentials").write_text("[default]\naws_access_key_id = testing\naws_secret_access_key = testing\n")
    endpoint = object_store.environment["AWS_ENDPOINT_URL"]
    assert _said(f"{CAUGHT}\nelse: print('well')", tmp_path, AWS_ENDPOINT_URL=endpoint) == "well"


@pytest.mark.parametrize("package", ["obstore", "botocore"])
def test_what_is_not_installed_is_named_with_the_way_to_it(tmp_path, package):
    (tmp_path / f"{package}.py").write_text("raise ImportError")
    path = f"{tmp_path}:{environment()['PYTHONPATH']}"
    said = _said(CAUGHT, tmp_path, PYTHONPATH=path)
    assert said.startswith("UserError") and f"needs the package {package}: pip install 'populace[s3]'" in said
