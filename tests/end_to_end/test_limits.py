"""Limits of a key over a whole run with several callers, by the server's own account."""

from __future__ import annotations

from jobs import KEY, metrics, rows, write_config, write_corpus

ENV = {"POPULACE_TEST_KEY": KEY}
PER_SECOND = 20


def test_several_callers_keep_to_the_pace_of_one_key(tmp_path, model_server, shared_ray, run_populace):
    server = model_server(keys=[KEY], latency=0.02)
    endpoint = {"base_url": server.base_url, "model": "m", "keys": ["env:POPULACE_TEST_KEY"]}
    limits = {"requests_per_minute": 60 * PER_SECOND, "tokens_per_minute": 10_000_000}
    config = write_config(
        tmp_path,
        server.base_url,
        write_corpus(tmp_path, 12),
        llm={"endpoints": [endpoint | limits]},
        conversations={"count": 40},
        cluster={"address": shared_ray.address, "callers": {"min": 3}},
    )
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / "run", "conversations")) == 40 and metrics(tmp_path / "run")["throttled"] == 0
    times = sorted(row["time"] for row in server.log())
    densest = max(sum(at <= one < at + 2 for one in times) for at in times)
    assert len(times) == 12 + 40 * 4
    assert densest <= 2 * PER_SECOND + 1.5 * PER_SECOND, "two seconds' worth, and a block that was waiting"
