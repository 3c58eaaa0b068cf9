"""Callbacks in a dialogue: what they are told, what they may ask, and what becomes of those that fail."""

import asyncio
import os
import time

import pytest

from actors.callbacks import BaseInstructionGeneratorCallback, BaseRespondentPromptModifierCallback, OwnText
from actors.logic.dialogue import Context, Dialogue, DialogueRule, Scene
from cluster.carried import carry
from cluster.chat import ScriptedChat
from cluster.errors import CallFailed, FailureKind, Halt

SCENE = Scene("c" * 24, "doc", "p", "A baker.", 2, "Bread is salt and time.", ("doc", "other"))


class Asks(BaseInstructionGeneratorCallback):
    async def generate(self, request):
        word = await request.ask(f"One word about {request.document}")
        number = request.rng.randrange(1000)
        return f"{request.persona} {request.persona_generation_depth} {request.document_ids} {word} {number}?"


class Tells(BaseRespondentPromptModifierCallback):
    def generate(self, request):
        answer = request.ask_sync([{"role": "user", "content": "What is asked?"}])
        return f"{request.respondent_prompt}|{request.instruction[:7]}|{answer}"


class Raises(BaseInstructionGeneratorCallback):
    def generate(self, request):
        raise KeyError("no such riddle")


class Leaves(BaseInstructionGeneratorCallback):
    def generate(self, request):
        raise SystemExit(3)


class Says(BaseInstructionGeneratorCallback):
    def __init__(self, said):
        self.said = said

    def generate(self, request):
        return self.said


class Hangs(BaseInstructionGeneratorCallback):
    timeout_s = 0.2

    async def generate(self, request):
        await asyncio.sleep(30)
        return "late"


class WaitsForTheModel(BaseInstructionGeneratorCallback):
    timeout_s = 0.3

    async def generate(self, request):
        return await request.ask("slow")


def dialogue(opens=None, instructs=None, **rule):
    own = {name: OwnText(carry(one, name)) for name, one in (("opens", opens), ("instructs", instructs)) if one}
    return Dialogue(SCENE, DialogueRule("Help.", 1, Context.NONE, seed=3, **own, **rule))


def run(made, script=lambda request: f"answer to {request.item.rpartition('/c')[2][24:]}"):
    return asyncio.run(made.run(ScriptedChat(script)))


def test_callbacks_write_the_opening_and_the_system_message():
    made = run(dialogue(Asks(), Tells()))
    system, user, assistant = made.turns
    assert user.content.startswith("A baker. 2 ('doc', 'other') answer to /0/opens/1 ")
    assert system.content == "Help.|A baker|answer to /instructs/1"
    assert assistant.content.startswith("answer to /0/respondent")
    assert made.usage.calls == 3


def test_the_same_dialogue_is_made_the_same_again():
    assert run(dialogue(Asks())).turns == run(dialogue(Asks())).turns


def test_other_code_has_another_mark_in_the_row():
    plain, asks, says = dialogue().prompt_shas(), dialogue(Asks()).prompt_shas(), dialogue(Says("x")).prompt_shas()
    assert len({one["correspondent"] for one in (plain, asks, says)}) == 3
    assert len({one["respondent"] for one in (plain, asks, says)}) == 1
    assert dialogue(instructs=Tells()).prompt_shas()["respondent"] != plain["respondent"]


@pytest.mark.parametrize(
    ("callback", "told"),
    [
        (Raises(), ["opens.generate raised", "KeyError: 'no such riddle'", "in generate"]),
        (Leaves(), ["SystemExit: 3"]),
        (Says("  "), ["returned an empty text"]),
        (Says(7), ["returned int and no text"]),
        (Hangs(), ["brought nothing within 0.2 s"]),
    ],
)
def test_one_that_fails_costs_its_dialogue_and_says_why(callback, told):
    with pytest.raises(CallFailed) as raised:
        run(dialogue(callback))
    assert raised.value.kind is FailureKind.CALLBACK
    for one in told:
        assert one in raised.value.message


def test_waiting_for_a_model_is_no_delay_of_the_callback():
    async def slow(request):
        await asyncio.sleep(0.8 if "opens" in request.item else 0)
        return "a slow answer" if "opens" in request.item else "Bread."

    assert run(dialogue(WaitsForTheModel()), slow).turns[1].content == "a slow answer"


@pytest.mark.parametrize("error", [Halt("no key is left"), CallFailed(FailureKind.FILTERED, "filtered", 1)])
def test_what_its_own_calls_raise_is_no_fault_of_the_callback(error):
    def script(request):
        raise error

    with pytest.raises(type(error), match=str(error)):
        run(dialogue(Asks()), script)


def test_plain_callbacks_run_beside_one_another():
    class Sleeps(BaseInstructionGeneratorCallback):
        def generate(self, request):
            time.sleep(0.3)
            return f"from {os.getpid()}"

    async def ten():
        made, chat = dialogue(Sleeps()), ScriptedChat(lambda request: "yes")
        await asyncio.gather(*(made.run(chat) for _ in range(10)))

    began = time.monotonic()
    asyncio.run(ten())
    assert time.monotonic() - began < 10 * 0.3
