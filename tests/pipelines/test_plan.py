import pytest

from pipelines.plan import estimate
from pipelines.settings import parse


def planned(tmp_path, documents: int, rows: int, talk: dict | None = None, **given):
    path = tmp_path / "corpus.csv"
    path.write_text("text\n" + "a note about tides\n" * documents)
    content = {
        "run_dir": str(tmp_path / "run"),
        "documents": {"path": [str(path)]} | given,
        "llm": {"endpoints": [{"base_url": "http://h/v1", "model": "m"}]},
        "conversations": {"count": rows} | (talk or {}),
    }
    return estimate(parse(content, []))


@pytest.mark.parametrize(
    ("last_rows", "depth", "pool"),
    [(17, 0, 5), (92, 1, 30), (467, 2, 155), (2342, 3, 780), (11717, 4, 3905), (58592, 5, 19530)],
)
@pytest.mark.parametrize("documents", [1, 4])
def test_a_plan_has_the_depth_that_the_rows_of_a_document_ask_for(tmp_path, documents, last_rows, depth, pool):
    before = planned(tmp_path, documents, last_rows * documents)
    assert (before.depth, before.personas_per_document, before.personas) == (depth, pool, pool * documents)
    after = planned(tmp_path, documents, last_rows * documents + 1)
    assert (after.depth, after.personas_per_document) == (depth + 1, pool + 5 ** (depth + 2))


@pytest.mark.parametrize(
    ("talk", "calls"),
    [
        ({}, 6),
        ({"judge": True}, 6 + 1),
        ({"candidates": 3}, 1 + 3 * 5 + 3),
        ({"auto_improve": True, "candidates": 2}, 1 + 2 * 5 + 2),
        ({"opening_threshold": 0.95}, 6),
    ],
)
def test_a_plan_counts_what_the_judge_and_candidates_take(tmp_path, talk, calls):
    plain, found = planned(tmp_path, 2, 10), planned(tmp_path, 2, 10, talk)
    assert found.calls - plain.calls == 10 * (calls - 6)
    assert (found.prompt_tokens > plain.prompt_tokens) is (calls > 6)
    assert ("up to 3 ×" in found.basis) is ("auto_improve" in talk)
