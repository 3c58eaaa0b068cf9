import json
import random
import re

import pyarrow as pa
import pytest
from dialogues import TOOLS, WEATHER, call, conversations, refused, row, said, talk, tooled

from actors.logic.export import FORMATS, Batch, Format, assigned, fractions, json_lines

NOT_SAID = "have tool calls, which alpaca cannot say"


def converted(format_: str, rows: list[dict], candidates: list[dict] | None = None, tools: bool = False, skip: int = 0):
    """The rows as they stand in JSON Lines, and what was left out."""
    given = Batch(conversations(rows).slice(skip), tools, None if candidates is None else refused(candidates))
    done = FORMATS[Format(format_)](given)
    return [json.loads(line) for line in bytes(json_lines(done.rows)).splitlines()], dict(done.left_out)


# --- JSON text


def without_nulls(value):
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def test_json_lines_are_what_the_standard_library_reads_back():
    rng = random.Random(1)
    call = pa.struct([("id", pa.string()), ("f", pa.struct([("n", pa.list_(pa.string()))]))])
    said = pa.struct([("a", pa.string()), ("b", pa.list_(call)), ("n", pa.float32())])
    schema = pa.schema([("m", pa.list_(said)), ("x", pa.string())])

    def text():
        return rng.choice([None, "".join(rng.choices('abc"\\\n\r\t\b\x00\x1f\x7füé漢🎉\u2028 /', k=rng.randint(0, 9)))])

    def one():
        calls = [
            {"id": text(), "f": {"n": [text() for _ in range(rng.randint(0, 2))]}} for _ in range(rng.randint(0, 3))
        ]
        return {"a": text(), "b": rng.choice([None, calls]), "n": rng.choice([None, 1, 2.5])}

    for _ in range(60):
        rows = [{"m": rng.choice([None, [one(), one()], []]), "x": text()} for _ in range(rng.randint(0, 9))]
        skip = rng.randint(0, len(rows))
        lines = bytes(json_lines(pa.RecordBatch.from_pylist(rows, schema).slice(skip))).split(b"\n")
        assert lines.pop() == b""
        assert [json.loads(line) for line in lines] == without_nulls(rows[skip:])


# --- messages and tools


def test_messages_have_role_and_content_alone():
    rows, left_out = converted("messages", [row("x", talk("s", "q")), row("a", talk("s", "q\n", '"a"'))], skip=1)
    assert not left_out
    said = zip(["system", "user", "assistant"], ["s", "q\n", '"a"'], strict=True)
    assert rows == [{"messages": [{"role": role, "content": content} for role, content in said]}]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "have no question"),
        (talk("s", "q"), "have no answer at the end"),
        (tooled()[:-1], "have no answer at the end"),
        ([said("user", "q"), said("narrator", "x"), said("assistant", "a")], "have a role that is none of a chat"),
        ([said("user", "q"), said("assistant", None), said("assistant", "a")], "have an empty message"),
        ([said("user", None), said("user", "q"), said("assistant", "a")], "have an empty message"),
        ([said("system", "s"), said("assistant", "a")], "have no question"),
    ],
)
@pytest.mark.parametrize("format_", ["messages", "sharegpt"])
def test_a_dialogue_that_nobody_can_learn_from_is_left_out_by_its_reason(format_, messages, reason):
    rows, left_out = converted(format_, [row("a", messages), row("b", talk("s", "q", "a"))])
    assert len(rows) == 1
    assert left_out == {reason: 1}


def test_openai_messages_keep_the_arguments_as_text_and_name_the_tools():
    [plain, called], left_out = converted(
        "messages", [row("a", talk("s", "q", "a")), row("b", tooled(), TOOLS)], tools=True
    )
    assert not left_out
    assert "tools" not in plain
    assert plain["messages"][0] == {"role": "system", "content": "s"}
    assert called["tools"] == json.loads(TOOLS)
    assert called["messages"] == without_nulls(tooled())


def test_templates_get_arguments_as_objects_and_the_name_of_the_tool_that_answers():
    rows, left_out = converted("tools", [row("z", talk("s", "q", "a")), row("b", tooled(), TOOLS)], tools=True, skip=0)
    assert left_out == {"have no tools": 1}
    [found] = rows
    assert found["conversation_id"] == "b" and found["tools"] == json.loads(TOOLS)
    first, second = found["messages"][1]["tool_calls"]
    assert (first["function"], second["function"]["arguments"]) == (
        {"name": "weather", "arguments": {"place": "Rome"}},
        {"place": "“Köln”\n"},
    )
    assert found["messages"][2] == {"role": "tool", "name": "weather", "content": '{"t": 3}', "tool_call_id": "c1"}
    assert "content" not in found["messages"][1] and "tool_calls" not in found["messages"][0]


def test_a_call_id_of_another_row_names_no_tool():
    other = [said("user", "q"), said("tool", "x", to="c1"), said("assistant", "a")]
    [_, stray], _ = converted("tools", [row("a", tooled(), TOOLS), row("b", other, TOOLS)], tools=True)
    assert stray["messages"][1] == {"role": "tool", "content": "x", "tool_call_id": "c1"}


@pytest.mark.parametrize("arguments", ["[1]", "{", '{"a": NaN}', "null", '{"a": "\\ud800"}', ""])
def test_arguments_that_are_no_object_are_left_out(arguments):
    broken = tooled()
    broken[1]["tool_calls"][1]["function"]["arguments"] = arguments
    rows, left_out = converted("tools", [row("a", broken, TOOLS), row("b", tooled(), TOOLS)], tools=True)
    assert [one["conversation_id"] for one in rows] == ["b"]
    assert left_out == {"have tool arguments that are no JSON object": 1}


@pytest.mark.parametrize("format_", ["messages", "tools", "sharegpt"])
def test_tools_that_are_no_list_are_left_out(format_):
    rows, left_out = converted(format_, [row("a", tooled(), "{}"), row("b", tooled(), TOOLS)], tools=True)
    assert len(rows) == 1
    assert left_out == {"have tools that are no JSON list of objects": 1}


# --- sharegpt


def test_sharegpt_says_who_speaks():
    [found], _ = converted("sharegpt", [row("a", talk("s", "q", "a", "r", "b"))])
    speakers = ["system", "human", "gpt", "human", "gpt"]
    turns = [{"from": who, "value": what} for who, what in zip(speakers, "sqarb", strict=True)]
    assert found == {"id": "a", "conversations": turns}


def test_sharegpt_has_calls_and_results_in_turns_of_their_own():
    alone = [
        said("user", "q"),
        said("assistant", None, [call("c", place="X")]),
        said("tool", "y", to="c"),
        said("assistant", "a"),
    ]
    plain = talk("s", "q", "a")
    [first, second, third], left_out = converted(
        "sharegpt", [row("a", tooled(), TOOLS), row("b", alone, TOOLS), row("c", plain)], tools=True
    )
    assert not left_out
    assert json.loads(first["tools"]) == [WEATHER] and third["tools"] == ""
    _, calls, results, answer = first["conversations"]
    assert calls["from"] == "function_call"
    assert json.loads(calls["value"]) == [
        {"name": "weather", "arguments": {"place": "Rome"}},
        {"name": "weather", "arguments": {"place": "“Köln”\n"}},
    ]
    assert (results["from"], json.loads(results["value"])) == ("observation", [{"t": 3}, "about\n4"])
    assert answer == {"from": "gpt", "value": "3 and 4."}
    assert json.loads(second["conversations"][1]["value"]) == {"name": "weather", "arguments": {"place": "X"}}
    assert second["conversations"][2] == {"from": "observation", "value": "y"}
    assert [turn["value"] for turn in third["conversations"]] == ["s", "q", "a"]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([*talk("s", "q", "a")[1:], said("assistant", "b")], "are not in turns, as sharegpt wants them"),
        (
            [
                said("user", "q"),
                said("assistant", "wait", [call("c")]),
                said("tool", "x", to="c"),
                said("assistant", "a"),
            ],
            "have words beside a tool call, which sharegpt cannot say",
        ),
    ],
)
def test_what_sharegpt_cannot_say_is_left_out(messages, reason):
    assert converted("sharegpt", [row("a", messages)], tools=True) == ([], {reason: 1})


# --- alpaca


def test_alpaca_has_the_last_exchange_and_the_earlier_ones_as_history():
    rows, left_out = converted(
        "alpaca",
        [
            row("z", talk("s", "q")),
            row("a", talk("s", "q", "a", "r", "b", "u", "c")),
            row("b", talk("s", "q", "a")[1:]),
        ],
    )
    assert left_out == {"have no answer at the end": 1}
    assert rows == [
        {
            "conversation_id": "a",
            "instruction": "u",
            "input": "",
            "output": "c",
            "system": "s",
            "history": [["q", "a"], ["r", "b"]],
        },
        {"conversation_id": "b", "instruction": "q", "input": "", "output": "a", "system": "", "history": []},
    ]


def test_what_alpaca_cannot_say_is_left_out():
    rows = [
        row("a", tooled(), TOOLS),
        row("b", talk("s", "q", "a") + talk("t", "q", "a")),
        row("c", talk("s", "q", "a")),
    ]
    found, left_out = converted("alpaca", rows, tools=True)
    assert len(found) == 1
    assert left_out == {NOT_SAID: 1, "are not question and answer in turns, which is all that alpaca can say": 1}


# --- pairs


def naive(chosen: list[dict], rejected: list[dict]) -> int:
    """Up to and with which message the two share a question."""
    prompt = 0
    for at, (ours, theirs) in enumerate(zip(chosen, rejected, strict=False)):
        if ours != theirs:
            break
        prompt = at + 1 if ours["role"] == "user" else prompt
    return prompt


def plain(messages: list[dict]) -> list[dict]:
    return [{"role": one["role"], "content": one["content"]} for one in messages]


def test_pairs_are_cut_at_the_last_question_that_both_share():
    rng = random.Random(2)
    for _ in range(40):
        rows = [row(str(n), talk("s", *rng.choices("ab", k=2 * rng.randint(1, 4))), score=0.5) for n in range(5)]
        others = [
            row(str(rng.randrange(7)), talk(rng.choice("sst"), *rng.choices("ab", k=2 * rng.randint(1, 4))), score=0.25)
            for _ in range(8)
        ]
        expected, reasons = [], {"have no refused candidate": 0, "are candidates of no accepted one": 0}
        reasons |= {"share no question with their candidate": 0, "are as their candidate": 0}
        for other in others:
            if not (ours := next((one for one in rows if one["conversation_id"] == other["conversation_id"]), None)):
                reasons["are candidates of no accepted one"] += 1
            elif not (at := naive(ours["messages"], other["messages"])):
                reasons["share no question with their candidate"] += 1
            elif ours["messages"] == other["messages"]:
                reasons["are as their candidate"] += 1
            else:
                expected.append(
                    {
                        "conversation_id": ours["conversation_id"],
                        "prompt": plain(ours["messages"][:at]),
                        "chosen": plain(ours["messages"][at:]),
                        "rejected": plain(other["messages"][at:]),
                        "score_chosen": 0.5,
                        "score_rejected": 0.25,
                    }
                )
        named = {one["conversation_id"] for one in others}
        reasons["have no refused candidate"] = sum(one["conversation_id"] not in named for one in rows)
        found, left_out = converted("dpo", rows, others)
        assert found == expected
        assert left_out == {reason: count for reason, count in reasons.items() if count}


def test_a_candidate_without_an_answer_is_left_out_as_one():
    rows, left_out = converted("dpo", [row("a", talk("s", "q", "a"))], [row("a", talk("s", "q"))])
    assert (rows, left_out) == ([], {"are candidates that have no answer at the end": 1})


def test_pairs_of_a_run_with_tools_are_as_templates_read_them():
    [found], left_out = converted("dpo", [row("a", tooled(), TOOLS)], [row("a", tooled("No."))], tools=True)
    assert not left_out
    assert found["tools"] == json.loads(TOOLS)
    assert found["prompt"] == [{"role": "user", "content": "How warm?"}]
    assert found["rejected"][0]["tool_calls"][0]["function"]["arguments"] == {"place": "Rome"}
    assert [one["role"] for one in found["chosen"]] == ["assistant", "tool", "tool", "assistant"]
    assert (found["chosen"][-1]["content"], found["rejected"][-1]["content"]) == ("3 and 4.", "No.")
    assert "score_chosen" not in found


# --- splits


def test_a_documents_split_hangs_on_its_id_and_the_seed_alone():
    ids = [f"document {number}" for number in range(4000)]
    shares = (0.8, 0.15, 0.05)
    found = assigned(pa.array(ids), shares, 7).tolist()
    assert assigned(pa.array([*ids[::-1], "new", *ids]), shares, 7).tolist() == [
        *found[::-1],
        *assigned(pa.array(["new"]), shares, 7),
        *found,
    ]
    assert [found.count(at) / len(ids) for at in range(3)] == pytest.approx(shares, abs=0.02)
    assert assigned(pa.array(ids), shares, 8).tolist() != found


def test_a_share_of_nothing_gets_nothing():
    ids = pa.array([str(number) for number in range(500)])
    assert set(assigned(ids, (0.0, 0.5, 0.5), 0).tolist()) == {1, 2}
    assert set(assigned(ids, (0.5, 0.0, 0.5), 0).tolist()) == {0, 2}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("0.9,0.05", "sums to 0.95, not to 1"),
        ("a,b", "is no list of numbers"),
        ("1.5,-0.5", "has a number that is not in [0, 1]"),
        ("nan,1", "has a number that is not in [0, 1]"),
        ("0.25,0.25,0.25,0.25", "has 4 numbers; there are train, validation, test"),
    ],
)
def test_shares_that_are_none_are_refused(text, wrong):
    with pytest.raises(ValueError, match=re.escape(wrong)):
        fractions(text)
    assert fractions("0.9, 0.05,0.05") == (0.9, 0.05, 0.05)
