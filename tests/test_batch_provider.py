"""The tests' provider of batches behaves as OpenAI's: its own client takes all that it answers."""

from __future__ import annotations

import json
import time

import openai
import pytest
from openai.types import Batch, FileObject

LINE = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions"}


def lines(*names: str, text: str = "Hello?") -> bytes:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    rows = [LINE | {"custom_id": name, "body": body | {"seed": number}} for number, name in enumerate(names)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def provider(shared_server):
    """`provider(batch_s=1.0)`: a client of a server with these options."""

    def start(key: str = "k1", **options: object) -> openai.OpenAI:
        return openai.OpenAI(api_key=key, base_url=shared_server(**options).base_url, max_retries=0)

    return start


def begin(client: openai.OpenAI, content: bytes) -> Batch:
    file = client.files.create(file=("calls.jsonl", content), purpose="batch")
    assert isinstance(file, FileObject) and file.status == "processed" and file.bytes == len(content)
    strictly(FileObject, file)
    return client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"run": "7"}
    )


def strictly(kind: type, found: object) -> None:
    """Every field that it has is one of its type's, and has that type."""
    content = found.model_dump()
    assert content.keys() <= kind.model_fields.keys()
    kind.model_validate(content, strict=True)


def finished(client: openai.OpenAI, batch: Batch) -> tuple[Batch, list[str]]:
    """The batch at its end, and the states that it went through."""
    seen = []
    deadline = time.monotonic() + 30
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        assert time.monotonic() < deadline
        strictly(Batch, batch)
        seen += [batch.status] * (batch.status not in seen)
        batch = client.batches.retrieve(batch.id)
    strictly(Batch, batch)
    return batch, seen


def rows(client: openai.OpenAI, file_id: str | None) -> list[dict]:
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()] if file_id else []


def test_a_batch_goes_through_its_states_and_brings_completions(provider):
    client = provider(batch_s=1.0)
    batch, seen = finished(client, begin(client, lines("a", "b", "c")))
    assert seen == ["validating", "in_progress", "finalizing"] and batch.status == "completed"
    assert batch.metadata == {"run": "7"} and batch.request_counts.completed == batch.request_counts.total == 3
    found = rows(client, batch.output_file_id)
    assert {one["custom_id"] for one in found} == {"a", "b", "c"} and batch.error_file_id is None
    for one in found:
        assert one["error"] is None and one["response"]["status_code"] == 200
        completion = openai.types.chat.ChatCompletion.model_validate(one["response"]["body"], strict=True)
        assert completion.choices[0].message.content and completion.usage.total_tokens > 0


def test_items_that_fail_are_in_the_error_file_with_their_status(provider):
    client = provider(script=["1=400", "2=500"])
    batch, _ = finished(client, begin(client, lines("a", "b", "c")))
    assert [one["custom_id"] for one in rows(client, batch.output_file_id)] == ["a"]
    failed = rows(client, batch.error_file_id)
    assert [(one["custom_id"], one["response"]["status_code"]) for one in failed] == [("b", 400), ("c", 500)]
    assert all(one["response"]["body"]["error"]["message"] for one in failed)
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 2)


@pytest.mark.parametrize(("ending", "code"), [("expired", "batch_expired"), ("cancelled", "batch_cancelled")])
def test_a_batch_that_ends_early_answers_some_and_names_the_others(provider, ending, code):
    client = provider(batch_endings=[ending])
    batch, _ = finished(client, begin(client, lines("a", "b", "c", "d")))
    assert batch.status == ending
    assert [one["custom_id"] for one in rows(client, batch.output_file_id)] == ["a", "b"]
    left = rows(client, batch.error_file_id)
    assert [(one["custom_id"], one["response"], one["error"]["code"]) for one in left] == [
        ("c", None, code),
        ("d", None, code),
    ]


def test_a_batch_can_be_cancelled(provider):
    client = provider(batch_s=30.0)
    batch = client.batches.cancel(begin(client, lines("a", "b")).id)
    assert batch.status == "cancelling"
    assert finished(client, batch)[0].status == "cancelled"


@pytest.mark.parametrize("options", [{"batch_endings": ["failed"]}, {"batch_requests": 1}, {"batch_enqueued": 1}])
def test_a_batch_that_is_not_valid_fails_with_errors_and_without_files(provider, options):
    client = provider(**options)
    batch, _ = finished(client, begin(client, lines("a", "b")))
    assert batch.status == "failed" and batch.errors.data[0].message
    assert batch.output_file_id is None and batch.error_file_id is None


def test_batches_and_files_are_listed_a_page_at_a_time_the_newest_first(provider):
    client = provider()
    made = [begin(client, lines("a")).id for _ in range(5)]
    assert [one.id for one in client.batches.list(limit=2)] == made[::-1]
    files = list(client.files.list(purpose="batch", limit=2))
    assert len(files) == 5 and {one.purpose for one in files} == {"batch"}


def test_a_deleted_file_is_gone(provider):
    client = provider()
    file = client.files.create(file=("calls.jsonl", lines("a")), purpose="batch")
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_what_belongs_to_another_account_is_not_found(provider):
    client = provider(batch_accounts=True)
    batch = begin(client, lines("a"))
    with pytest.raises(openai.NotFoundError):
        provider(key="k2").batches.retrieve(batch.id)


def test_a_wrong_key_and_a_wrong_file_are_refused(provider):
    with pytest.raises(openai.AuthenticationError):
        provider(keys=["other"]).batches.list()
    with pytest.raises(openai.BadRequestError):
        provider(keys=[]).batches.create(
            input_file_id="file-none", endpoint="/v1/chat/completions", completion_window="24h"
        )


def test_answers_in_batches_are_counted_like_all_others(provider, shared_server):
    client = provider()
    finished(client, begin(client, lines("a", "b")))
    finished(client, begin(client, lines("a", "b")))
    stats = shared_server().stats()
    assert (stats["paid"], stats["repaid"], stats["batches"]["requests"]) == (4, 2, 4)
