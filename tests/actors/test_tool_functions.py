import asyncio
import json
import threading

import pytest

from actors.tool_functions import ToolFunctions
from cluster.errors import UserError
from cluster.tool_calls import ToolCall

SOURCE = """
import asyncio, os, threading, time

never = threading.Event()

def add(a, b=1): return {"sum": a + b, "thread": threading.current_thread().name}
async def add_later(a): await asyncio.sleep(0.001); return a + 1
def text(): return "plain"
def odd(): return {1, 2}
def breaks(): raise KeyError("no\\nsuch")
def leaves(): raise SystemExit(3)
def hangs(): never.wait()
async def hangs_too(): await asyncio.sleep(3600)
async def blocks_its_loop(): never.wait()
def release(): never.set()
"""


def functions(timeout_s: float = 5.0, source: str | None = SOURCE, module: str = "mine.py") -> ToolFunctions:
    return ToolFunctions(module, "/nowhere", source, timeout_s)


def told(name: str, arguments: str = "{}", timeout_s: float = 5.0) -> str:
    return asyncio.run(functions(timeout_s).result(ToolCall("c", name, arguments)))


def test_a_function_is_called_by_name_in_a_thread_of_its_own():
    assert json.loads(told("add", '{"a": 2, "b": 3}')) == {"sum": 5, "thread": "add"}


def test_an_async_function_is_awaited():
    assert told("add_later", '{"a": 2}') == "3"


def test_a_text_is_told_as_it_is():
    assert told("text") == "plain"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("breaks", "KeyError: 'no\\\\nsuch'"),
        ("leaves", "SystemExit: 3"),
        ("odd", "TypeError: Object of type set is not JSON serializable"),
    ],
)
def test_what_a_function_raises_is_told_by_class_and_message_alone(name, said):
    error = json.loads(told(name))["error"]
    assert error.startswith(said.partition(":")[0]) and "Traceback" not in error and "line" not in error


@pytest.mark.parametrize("name", ["hangs", "hangs_too", "blocks_its_loop"])
def test_a_function_that_hangs_is_cut_and_holds_up_nobody(name):
    async def together() -> list[str]:
        hanging = functions(0.05).result(ToolCall("c", name, "{}"))
        return await asyncio.gather(hanging, functions().result(ToolCall("d", "add", '{"a": 1}')))

    cut, other = asyncio.run(together())
    assert json.loads(cut)["error"] == "TimeoutError: no result after 0.05 s"
    assert json.loads(other)["sum"] == 2


def test_the_module_is_loaded_once():
    assert functions().load() is functions(1.0).load()


def test_a_module_of_a_folder_is_found_by_its_name(tmp_path):
    (tmp_path / "a_module_of_tests.py").write_text("import a_neighbour_of_tests\nvalue = a_neighbour_of_tests.value")
    (tmp_path / "a_neighbour_of_tests.py").write_text("value = 7")
    assert ToolFunctions("a_module_of_tests", str(tmp_path), None, 1.0).load().value == 7


@pytest.mark.parametrize(
    ("source", "said"),
    [("1 +", "SyntaxError"), ("1 / 0", "ZeroDivisionError"), ("import nothing_of_that_name", "Module")],
)
def test_a_module_that_cannot_be_loaded_is_refused(source, said):
    with pytest.raises(UserError, match=rf"mine.py cannot be loaded \({said}"):
        functions(source=source).load()


def test_threads_that_hang_do_not_keep_the_process():
    told("hangs", timeout_s=0.01)
    hanging = [one for one in threading.enumerate() if one.name == "hangs"]
    assert hanging and all(one.daemon for one in hanging)
    told("release")
