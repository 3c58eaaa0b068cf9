from pathlib import Path

import numpy as np
import pytest

from actors.encoder import Backend, Encoding, Precision
from actors.local_encoder import LocalEncoder, locate
from cluster.errors import UserError

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
pytest.importorskip("onnx", reason="the extra `onnx` is not installed")

ONNX = Encoding(backend=Backend.ONNX)
INT8 = Encoding(backend=Backend.ONNX, precision=Precision.INT8)
TEXTS = ["A nurse in Accra who mends bicycles.", "A judge.", "", "word " * 400, "A retired tram driver of 71."]


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _its_own_cache(cache, monkeypatch):
    monkeypatch.setenv("POPULACE_CACHE", str(cache))


def test_vectors_are_those_of_torch():
    wanted = LocalEncoder(Encoding()).encode(TEXTS)
    assert np.abs(LocalEncoder(ONNX).encode(TEXTS) - wanted).max() < 1e-4


def test_a_model_is_exported_once(cache):
    LocalEncoder(ONNX)
    [made] = (cache / "onnx").glob("*[!8].onnx")
    before = made.stat().st_mtime_ns
    LocalEncoder(ONNX)
    assert made.stat().st_mtime_ns == before
    assert [path for path in (cache / "onnx").iterdir() if path.is_dir()] == []


def test_int8_is_near_the_model_but_not_the_same():
    wanted, found = (LocalEncoder(one).encode(TEXTS) for one in (ONNX, INT8))
    cosines = (wanted * found).sum(axis=1)
    assert cosines.min() > 0.9 and cosines.max() < 0.9999


def test_the_file_that_a_model_brings_is_taken(tmp_path, cache):
    LocalEncoder(ONNX)
    [made] = (cache / "onnx").glob("*[!8].onnx")
    folder = tmp_path / "model"
    folder.mkdir()
    for path in Path(locate(Encoding().model)).iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match=r"ONNX Runtime cannot load .*/model/onnx/model\.onnx"):
        LocalEncoder(Encoding(str(folder), Backend.ONNX))
    (folder / "onnx" / "model.onnx").write_bytes(made.read_bytes())
    assert LocalEncoder(Encoding(str(folder), Backend.ONNX)).encode(TEXTS).shape == (5, 384)


def test_a_cache_that_cannot_be_written_is_refused_with_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POPULACE_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set POPULACE_CACHE to a folder with room"):
        LocalEncoder(ONNX)
