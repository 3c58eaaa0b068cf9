from actors.logic import tables


def test_half_a_surrogate_pair_spoils_no_part():
    row = {
        "conversation_id": "c",
        "messages": [{"role": "user", "content": "a \ud83d b"}, {"role": "assistant", "content": "\U0001f600"}],
        "reasons": {"coherence": "\ud83d"},
        "context_ids": (("d#0",),),
        "attempts": 1,
    }
    [read] = tables.table([row], tables.REJECTED_CONVERSATIONS).to_pylist()
    assert [one["content"] for one in read["messages"]] == ["a \ufffd b", "\U0001f600"]
    assert read["reasons"]["coherence"] == "\ufffd"
    [read] = tables.table([row], tables.CONVERSATIONS).to_pylist()
    assert read["context_ids"] == [["d#0"]] and read["attempts"] == 1
