import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from geometry import SIZE, apart, at_cosine, scattered

from actors.index import PersonaIndex
from actors.logic.dialogue import Scene
from actors.logic.near_duplicates import Thresholds
from actors.logic.quality import Refusal, Why
from actors.logic.quality.fit import Spoken, fits, texts_of
from actors.logic.quality.gate import OpeningGate
from actors.shard import Shard

FIRST = scattered(1)[0]
VECTORS = {
    "How long does dough rest?": FIRST,
    "how long does  dough rest?": FIRST,
    "How long must dough rest?": at_cosine(FIRST, 0.97),
    "What does flour cost?": at_cosine(FIRST, 0.3),
    "A baker": at_cosine(FIRST, 0.5, seed=3),
}


async def encode(texts) -> np.ndarray:
    return np.stack([VECTORS[text] for text in texts])


async def fit_of(spoken):
    texts = texts_of(spoken)
    return fits(spoken, await encode(texts) if texts else np.empty((0, SIZE), np.float32))


def scene(number: int) -> Scene:
    return Scene(f"{number:024x}", "doc", "p" * 24, "A baker", 0, "A text about bread.")


class Desk:
    """Gates over one log, one for each session."""

    def __init__(self, folder, least=None) -> None:
        self.folder, self.least = folder, least

    def check(self, *asked: tuple[int, str]) -> list[Refusal | None]:
        async def ask():
            index = PersonaIndex(SIZE, self.folder, "m")
            shard = Shard(0, Thresholds(0.95), index, encode, {}, ThreadPoolExecutor(1))
            gate = OpeningGate(fit_of, self.least, shard.admit)
            return [await gate.check(scene(number), opening) for number, opening in asked]

        return asyncio.run(ask())


def test_an_opening_near_to_another_dialogues_is_refused_with_that_one_and_the_cosine(tmp_path):
    first, near, other = Desk(tmp_path).check(
        (1, "How long does dough rest?"), (2, "How long must dough rest?"), (3, "What does flour cost?")
    )
    assert first is None and other is None
    assert (near.why, near.neighbour_id) == (Why.OPENING, scene(1).conversation_id)
    assert near.score == pytest.approx(0.97, abs=2e-3)


def test_an_exact_repeat_is_refused_by_the_same_stage(tmp_path):
    _, again = Desk(tmp_path).check((1, "How long does dough rest?"), (2, "how long does  dough rest?"))
    assert (again.why, again.score) == (Why.OPENING, 1.0)


def test_a_run_that_goes_on_decides_as_before_in_whatever_order_it_asks(tmp_path):
    asked = [(1, "How long does dough rest?"), (2, "How long must dough rest?"), (3, "What does flour cost?")]
    before = Desk(tmp_path).check(*asked)
    assert Desk(tmp_path).check(*reversed(asked)) == before[::-1]


def test_an_opening_unlike_its_persona_is_refused_before_it_takes_a_place(tmp_path):
    desk = Desk(tmp_path, least=0.4)
    [far] = desk.check((1, "What does flour cost?"))
    assert far.why is Why.COHERENCE and far.neighbour_id is None and far.score < 0.4
    assert Desk(tmp_path).check((2, "What does flour cost?")) == [None]
    assert desk.check((3, "How long does dough rest?")) == [None]


def test_nobodys_opening_is_held_against_no_persona(tmp_path):
    gate = OpeningGate(fit_of, 0.99, None)
    assert asyncio.run(gate.check(replace(scene(1), persona=""), "What does flour cost?")) is None


def test_each_message_of_a_persona_has_its_cosine_in_order():
    vectors = np.stack([*apart(3), at_cosine(apart(3)[2], 0.25)])
    spoken = [Spoken("A", ["a"]), Spoken("", ["x", "y"]), Spoken("B", ["b"])]
    assert texts_of(spoken) == ["A", "a", "B", "b"]
    one, none, other = fits(spoken, vectors)
    assert none is None and one.consistency == [0.0]
    assert other.opening == pytest.approx(0.25, abs=1e-6)


def test_a_dialogues_own_opening_of_an_earlier_attempt_is_no_others(tmp_path):
    first, again, other = Desk(tmp_path).check(
        (1, "How long does dough rest?"), (1, "How long must dough rest?"), (2, "How long must dough rest?")
    )
    assert first is None and again is None
    assert other is not None and other.neighbour_id == f"{1:024x}"
