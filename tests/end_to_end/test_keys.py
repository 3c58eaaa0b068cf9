"""Keys over a whole run with several callers: exchanged while it goes on, cooling for all when one is told so."""

from __future__ import annotations

import pytest
from jobs import conversation_ids, metrics, wait_for, write_config, write_corpus

FIRST, SECOND = "sk-test-first-51c2", "sk-test-second-88d0"
ON_THE_WIRE_S = 0.5  # what was sent before the news of a 429 was heard everywhere


def config_with_key_file(tmp_path, server, ray, documents: int):
    keys = tmp_path / "keys.txt"
    config = write_config(
        tmp_path,
        server.base_url,
        write_corpus(tmp_path, documents),
        llm={"endpoints": [{"base_url": server.base_url, "model": "m", "keys": [f"file:{keys}"]}]},
        cluster={"address": ray.address, "callers": {"min": 3}},
    )
    return config, keys


def answered(server, key: str) -> int:
    ledgers = server.stats()["keys"]
    return ledgers[key]["statuses"].get("200", 0) if key in ledgers else 0


def note(tmp_path) -> str:
    return str(metrics(tmp_path / "run").get("notes"))


@pytest.mark.slow
def test_a_key_file_may_be_changed_while_the_run_goes_on(tmp_path, model_server, shared_ray, start_populace):
    server = model_server(keys=[FIRST], latency=0.05)
    config, keys = config_with_key_file(tmp_path, server, shared_ray, 12)
    keys.write_text(f"{FIRST}\n")
    run = start_populace("run", config)
    wait_for(lambda: answered(server, FIRST) > 20, seconds=240)
    server.set(keys=[SECOND])
    wait_for(lambda: "none is usable" in note(tmp_path))
    keys.write_text("\n")  # half way through an edit
    wait_for(lambda: "holds no key" in note(tmp_path))
    keys.write_text(f"# the new one\n{SECOND}\n")
    assert run.wait(120) == 0, run.said()[1]
    assert len(conversation_ids(tmp_path / "run")) == 60
    assert metrics(tmp_path / "run")["failures"] == 0
    assert answered(server, SECOND) > 100
    assert not [key for key in (FIRST, SECOND) if key in "".join(run.said())]


@pytest.mark.slow
def test_a_key_that_one_caller_was_told_to_leave_alone_is_left_alone_by_all_callers(
    tmp_path, model_server, shared_ray, start_populace
):
    server = model_server(keys=[FIRST, SECOND], latency=0.05, retry_after=4, grace_s=ON_THE_WIRE_S)
    config, keys = config_with_key_file(tmp_path, server, shared_ray, 30)
    keys.write_text(f"{FIRST}\n{SECOND}\n")
    run = start_populace("run", config)
    wait_for(lambda: answered(server, FIRST) > 20, seconds=240)
    server.set(storm={f"429@{FIRST}": 1.0})
    assert run.wait(120) == 0, run.said()[1]
    stats = server.stats()["keys"]
    assert stats[FIRST]["early"] == stats[SECOND]["early"] == 0
    assert 0 < metrics(tmp_path / "run")["throttled"] <= 3 * 8 * 4
    assert metrics(tmp_path / "run")["failures"] == 0
