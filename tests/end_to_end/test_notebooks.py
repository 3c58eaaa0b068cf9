"""The notebooks of the examples in a real kernel."""

from __future__ import annotations

import nbformat
import pytest
from jobs import KEY, QUIET, ROOT
from nbclient import NotebookClient

EXAMPLES = ROOT / "pipelines" / "examples"
pytestmark = pytest.mark.slow


@pytest.fixture
def surroundings(tmp_path, shared_server, shared_ray, monkeypatch):
    server = shared_server()
    own = QUIET | {"PYTHONPATH": str(ROOT), "RAY_ADDRESS": shared_ray.address, "JUPYTER_PLATFORM_DIRS": "1"}
    for name, value in (own | {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)
    return server


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_whole(path, surroundings, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    last = notebook.cells[-1]["outputs"]
    assert last and last[-1]["output_type"] == "execute_result"
    assert list((tmp_path / "runs").glob("conversations-*/conversations/part-*.parquet"))
