"""The notebooks of the examples in a real kernel, and a cell that is interrupted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import nbformat
import pytest
from jobs import KEY, QUIET, ROOT, conversation_ids
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

EXAMPLES = ROOT / "pipelines" / "examples"
pytestmark = pytest.mark.slow

CELL = """
from pipelines import ConversationGenerator, ContextualInstructionGeneratorCallback, InMemoryDocumentProvider
documents = InMemoryDocumentProvider([f"Note {number} about bells." for number in range(4)])
generator = ConversationGenerator(
    instruction_generator_callback=ContextualInstructionGeneratorCallback(documents=documents), run_dir="run")
print("begins")
rows = await generator.generate(num_dialogs=ROWS, max_turns=1, max_concurrency=4)
print("made", len(rows))
"""


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


class Kernel:
    """A kernel whose cells are run one by one."""

    def __init__(self, folder: Path) -> None:
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(cwd=str(folder), env=dict(os.environ))
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=120)

    def begin(self, code: str) -> str:
        return self._client.execute(code)

    def ended(self, request: str, timeout: float) -> dict:
        """The reply to a cell; `KeyError` where there is none in time."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            reply = self._client.get_shell_msg(timeout=timeout)
            if reply["parent_header"]["msg_id"] == request:
                return reply["content"]
        raise KeyError(request)

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def stop(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


def test_an_interrupted_cell_ends_soon_and_the_next_one_goes_on(surroundings, tmp_path):
    surroundings.set(latency=1.0)
    kernel = Kernel(tmp_path)
    try:
        cell = kernel.begin(CELL.replace("ROWS", "200"))
        deadline = time.monotonic() + 120
        while not (made := conversation_ids(tmp_path / "run")) and time.monotonic() < deadline:
            time.sleep(0.2)
        kernel.interrupt()
        began = time.monotonic()
        assert kernel.ended(cell, 60)["status"] == "error"
        assert time.monotonic() - began < 30 and 0 < len(made) < 200
        surroundings.set(latency=0.0)
        assert kernel.ended(kernel.begin(CELL.replace("ROWS", "200")), 240)["status"] == "ok"
        assert len(conversation_ids(tmp_path / "run")) == 200
        refused = kernel.ended(kernel.begin("generator.generate_sync(0)"), 60)
        assert refused["ename"] == "UserError" and len(refused["traceback"]) == 1
    finally:
        kernel.stop()
