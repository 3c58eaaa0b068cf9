"""A large count is reached however many calls fail for good, and every failure is told."""

from __future__ import annotations

import pytest
from jobs import KEY, conversation_ids, metrics, rows, write_config, write_corpus

ENV = {"POPULACE_TEST_KEY": KEY}
COUNT = 1000


@pytest.mark.slow
def test_a_tenth_of_the_calls_fails_for_good_and_a_thousand_rows_are_made(
    tmp_path, model_server, shared_ray, run_populace
):
    server = model_server(keys=[KEY], share={"content_filter_400": 0.1}, sticky=True)
    place = {"address": shared_ray.address}
    talk = {"count": COUNT, "max_turns": 1}
    config = write_config(tmp_path, server.base_url, write_corpus(tmp_path, 60), conversations=talk, cluster=place)
    done = run_populace("run", config, env=ENV)
    assert done.returncode == 0, done.stderr
    run, stats = tmp_path / "run", server.stats()
    refused = stats["statuses"]["400"]
    ids, failed = conversation_ids(run), rows(run, "failures")
    lost = [row["item_id"] for row in failed]
    assert len(ids) == COUNT == len(set(ids))
    assert len(lost) == len(set(lost)) == metrics(run)["failures"] and not {*lost} & {*ids}
    assert {row["kind"] for row in failed} == {"filtered"}
    assert refused == len(failed), "each of these calls was sent once, and lost its item"
    assert 0.08 < refused / stats["requests"] < 0.12
    talks = [row for row in failed if row["stage"] == "conversations"]
    assert stats["paid"] >= 2 * COUNT and len(talks) > 0.1 * COUNT
    print(
        f"\n{stats['requests']:,} calls, {refused:,} refused; {len(ids):,} rows; {len(talks):,}",
        f"dialogues and {len(failed) - len(talks)} documents in failures/; {done.seconds:.0f} s",
    )
