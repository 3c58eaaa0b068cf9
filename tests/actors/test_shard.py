import asyncio
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from geometry import SIZE, apart, at_cosine, candidate, candidates, groups, scattered, unit
from numpy.typing import NDArray

from actors.index import PersonaIndex
from actors.logic.near_duplicates import Candidate, Nearest, Reason, Stage, Thresholds, Verdict, decide, form_key
from actors.shard import Shard

THRESHOLD = 0.9


class Admission:
    """A shard by itself, whose candidates come with their vectors."""

    def __init__(self, index: PersonaIndex, threshold: float, minhash: float | None = None) -> None:
        self._index, self._vectors = index, dict[str, NDArray[np.float32]]()
        self._shard = Shard(0, Thresholds(threshold, minhash), index, self._encode, {}, ThreadPoolExecutor(1))

    def __len__(self) -> int:
        return len(self._index)

    async def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._vectors[text] for text in texts])

    def admit(self, candidates: Sequence[Candidate], vectors: NDArray[np.float32]) -> list[Verdict]:
        for one, vector in zip(candidates, vectors, strict=True):
            self._vectors.setdefault(one.text, vector)
        return asyncio.run(self._shard.admit(candidates))


def index(folder: Path | None = None, size: int = SIZE, minhash: float | None = None) -> Admission:
    return Admission(PersonaIndex(size, folder, "m", minhash=minhash), THRESHOLD, minhash)


def admitted(verdicts: Sequence[Verdict]) -> list[int]:
    return [int(verdict.persona_id, 16) for verdict in verdicts if verdict.admitted]


# --- near ones


@pytest.mark.parametrize("together", [True, False])
def test_of_two_near_duplicates_the_first_is_kept_and_the_second_told_why_it_is_not(together):
    first = scattered(1)[0]
    vectors, kept = np.stack([first, at_cosine(first, 0.96)]), index()
    if together:
        verdicts = kept.admit(candidates(1, 2), vectors)
    else:
        verdicts = kept.admit(candidates(1), vectors[:1]) + kept.admit(candidates(2), vectors[1:])
    assert verdicts[0] == Verdict(candidate(1).persona_id)
    assert (verdicts[1].reason, verdicts[1].neighbour_id) == (Reason.EMBEDDING, candidate(1).persona_id)
    assert verdicts[1].score == pytest.approx(0.96, abs=2e-3)
    assert len(kept) == 1


@pytest.mark.parametrize(("cosine", "kept"), [(0.905, [1]), (0.895, [1, 2])])
def test_the_threshold_divides_near_from_different(cosine, kept):
    first = scattered(1)[0]
    assert admitted(index().admit(candidates(1, 2), np.stack([first, at_cosine(first, cosine)]))) == kept


def test_the_nearest_of_all_kept_is_the_one_that_is_named():
    first, side = apart(2)
    near, nearer = unit(0.92 * first + 0.392 * side), unit(0.97 * first - 0.243 * side)
    assert near @ nearer < THRESHOLD
    for before in (1, 2):  # the nearer one kept in an earlier batch, or in this one
        kept = index()
        vectors = np.stack([near, nearer, first])
        kept.admit(candidates(1, 2)[:before], vectors[:before])
        verdict = kept.admit(candidates(1, 2, 3)[before:], vectors[before:])[-1]
        assert verdict.neighbour_id == candidate(2).persona_id
        assert verdict.score == pytest.approx(0.97, abs=2e-3)


def test_whoever_is_near_a_refused_one_alone_is_kept():
    first = apart(1)[0]
    second = at_cosine(first, 0.92)
    third = unit(2 * (second @ first) * second - first)  # as far beyond the second as the first is before it
    assert second @ third > THRESHOLD > first @ third
    assert admitted(index().admit(candidates(1, 2, 3), np.stack([first, second, third]))) == [1, 3]


@pytest.mark.parametrize("batch", [1, 3, 7, 20])
def test_a_group_of_near_duplicates_keeps_exactly_one_however_it_arrives(batch):
    centre = scattered(1)[0]
    vectors = np.stack([at_cosine(centre, 0.99, seed) for seed in range(20)])
    assert (vectors @ vectors.T).min() > THRESHOLD
    for order in range(5):
        numbers = random.Random(order).sample(range(20), 20)
        kept = index()
        verdicts = [
            verdict
            for start in range(0, 20, batch)
            for verdict in kept.admit(
                candidates(*numbers[start : start + batch]), vectors[numbers[start : start + batch]]
            )
        ]
        assert admitted(verdicts) == [numbers[0]]
        assert {verdict.neighbour_id for verdict in verdicts[1:]} == {candidate(numbers[0]).persona_id}


def test_a_score_is_never_more_than_one():
    vectors = np.repeat(scattered(1), 2, axis=0)
    assert index().admit(candidates(1, 2), vectors)[1].score <= 1.0


# --- exact ones


@pytest.mark.parametrize("together", [True, False])
def test_the_same_words_are_refused_as_exact_and_name_their_holder(together):
    both = [candidate(1, "A nurse in Leeds"), candidate(2, "a NURSE, in leeds.")]
    vectors, kept = apart(2), index()
    if together:
        verdicts = kept.admit(both, vectors)
    else:
        verdicts = kept.admit(both[:1], vectors[:1]) + kept.admit(both[1:], vectors[1:])
    assert verdicts[1] == Verdict(both[1].persona_id, Reason.EXACT, both[0].persona_id, 1.0)


def test_a_repeat_of_a_refused_one_names_the_kept_one_and_how_close_it_is():
    first = scattered(1)[0]
    near = at_cosine(first, 0.95)
    said = [candidate(1, "a kept person"), candidate(2, "another person"), candidate(3, "Another person!")]
    verdict = index().admit(said, np.stack([first, near, near]))[2]
    assert verdict.neighbour_id == said[0].persona_id
    assert verdict.reason is Reason.EMBEDDING  # its words are not those of the neighbour that is named
    assert verdict.score == pytest.approx(0.95, abs=2e-3)


@pytest.mark.parametrize("together", [True, False])
def test_one_persona_asked_about_twice_is_admitted_twice_and_kept_once(together):
    kept = index()
    twice, vectors = candidates(1, 1), np.repeat(apart(1), 2, axis=0)
    verdicts = (
        kept.admit(twice, vectors)
        if together
        else [*kept.admit(twice[:1], vectors[:1]), *kept.admit(twice[1:], vectors[1:])]
    )
    assert verdicts == [Verdict(candidate(1).persona_id)] * 2
    assert len(kept) == 1


def test_asking_again_gives_the_same_answers_and_keeps_nothing_new():
    vectors, kept = groups(10, 6), index()
    asked = candidates(*range(60))
    before = kept.admit(asked, vectors)
    size = len(kept)
    again = [
        verdict
        for start in range(0, 60, 7)
        for verdict in kept.admit(asked[start : start + 7], vectors[start : start + 7])
    ]
    assert [(one.admitted, one.reason) for one in again] == [(one.admitted, one.reason) for one in before]
    assert len(kept) == size


def test_an_empty_batch_is_answered_with_nothing():
    kept, nothing = index(), np.zeros((0, SIZE), np.float32)
    assert kept.admit([], nothing) == []
    kept.admit(candidates(1), apart(1))
    assert kept.admit([], nothing) == []
    assert len(kept) == 1


def test_a_batch_of_which_all_are_known_is_answered():
    kept = index()
    kept.admit(candidates(1, 2), apart(2))
    assert admitted(kept.admit(candidates(2, 1), apart(2)[::-1])) == [2, 1]


def test_the_form_of_a_text_is_16_bytes_of_its_normal_form():
    assert form_key("A nurse, in Leeds.") == form_key("a nurse in leeds")
    assert form_key("A nurse in Leeds") != form_key("A nurse in York")
    assert len(form_key("")) == 16
    assert form_key("?") != form_key("!") == form_key(" ! ")


def test_a_decision_needs_no_index():
    within = np.array([[1, 0.95], [0.95, 1]], dtype=np.float32)
    before = Nearest(np.array([0.97, 0.2], dtype=np.float32), ["kept", "far"])
    stage = Stage(Reason.EMBEDDING, THRESHOLD, before, lambda row, others: within[row, others])
    verdicts = decide(candidates(1, 2), [stage])
    assert verdicts[0].neighbour_id == "kept"
    assert verdicts[1].admitted  # near a refused one alone


# --- by their words

WORDS = "a retired harbour pilot from Bergen who restores radios and teaches chess to his nine grandchildren at night"


@pytest.mark.parametrize("together", [True, False])
def test_texts_of_the_same_words_are_refused_before_their_vectors_are_looked_at(together, tmp_path):
    said = [candidate(1, WORDS), candidate(2, WORDS.replace("at night", "night at").upper() + "!"), candidate(3)]
    vectors, kept = apart(3), index(tmp_path, minhash=0.9)
    if together:
        verdicts = kept.admit(said, vectors)
    else:
        first = kept.admit(said[:1], vectors[:1])
        kept = index(tmp_path, minhash=0.9)  # another process goes on with the log
        verdicts = first + kept.admit(said[1:], vectors[1:])
    assert [one.reason for one in verdicts] == [None, Reason.MINHASH, None]
    assert (verdicts[1].neighbour_id, verdicts[1].score) == (said[0].persona_id, 1.0)
    assert len(kept) == 2


def test_texts_with_fewer_words_in_common_go_on_to_the_next_stage():
    said = [candidate(1, WORDS), candidate(2, WORDS.replace("Bergen", "Oslo").replace("nine", "four"))]
    assert admitted(index(minhash=0.9).admit(said, apart(2))) == [1, 2]
    near = index(minhash=0.9).admit(said, np.stack([apart(1)[0], at_cosine(apart(1)[0], 0.95)]))
    assert near[1].reason is Reason.EMBEDDING
    assert index(minhash=0.7).admit(said, apart(2))[1].reason is Reason.MINHASH


def test_without_the_stage_texts_of_the_same_words_are_kept_where_their_vectors_differ():
    said = [candidate(1, WORDS), candidate(2, WORDS.replace("at night", "night at"))]
    assert admitted(index().admit(said, apart(2))) == [1, 2]


# --- against a slow and simple one


class Simple:
    """The rules in plain words, one candidate at a time."""

    def __init__(self) -> None:
        self.kept: list[tuple[Candidate, NDArray[np.float32]]] = []

    def admits(self, one: Candidate, vector: NDArray[np.float32]) -> bool:
        rounded = vector.astype(np.float16).astype(np.float32)
        for other, _ in self.kept:
            if form_key(other.text) == form_key(one.text):
                return other.persona_id == one.persona_id
        if any(float(rounded @ other) >= THRESHOLD for _, other in self.kept):
            return False
        self.kept.append((one, rounded))
        return True


@pytest.mark.parametrize("seed", range(12))
def test_any_stream_of_batches_is_decided_as_one_by_one(seed):
    rng = random.Random(seed)
    vectors = groups(15, 8, seed)
    texts = [f"a person number {number}" for number in range(len(vectors))]
    stream = [rng.randrange(len(vectors)) for _ in range(300)]
    asked = [Candidate(f"{text + 1000 * rng.randrange(2):024x}", texts[text]) for text in stream]
    simple, kept, start = Simple(), index(), 0
    while start < len(stream):
        stop = start + rng.choice([0, 1, 2, 5, 40])
        verdicts = kept.admit(asked[start:stop], vectors[stream[start:stop]].reshape(-1, SIZE))
        expected = [
            simple.admits(one, vectors[at]) for one, at in zip(asked[start:stop], stream[start:stop], strict=True)
        ]
        assert [one.admitted for one in verdicts] == expected
        holders = {one.persona_id for one, _ in simple.kept}
        assert {one.neighbour_id for one in verdicts if not one.admitted} <= holders
        start = stop
    assert len(kept) == len(simple.kept)
    assert 15 < len(kept) < 120


# --- after a restart


def fed(folder: Path, vectors: NDArray[np.float32], batch: int) -> list[Verdict]:
    kept = index(folder)
    return [
        verdict
        for start in range(0, len(vectors), batch)
        for verdict in kept.admit(
            candidates(*range(start, min(start + batch, len(vectors)))), vectors[start : start + batch]
        )
    ]


def test_a_restarted_index_decides_as_the_one_before_it(tmp_path):
    vectors = groups(20, 6)
    fed(tmp_path, vectors[:60], 7)
    unbroken = index()
    unbroken.admit(candidates(*range(60)), vectors[:60])
    restarted = index(tmp_path)
    assert len(restarted) == len(unbroken)
    later = candidates(*range(60, 120))
    assert restarted.admit(later, vectors[60:]) == unbroken.admit(later, vectors[60:])


def test_what_was_admitted_before_a_restart_is_admitted_again_and_its_repeats_are_not(tmp_path):
    before = fed(tmp_path, groups(5, 4), 3)
    holders, none = admitted(before), np.zeros((1, SIZE), np.float32)  # words that are known need no vector
    restarted = index(tmp_path)
    assert all(restarted.admit(candidates(number), none)[0].admitted for number in holders)
    [repeat] = restarted.admit([candidate(999, candidate(holders[0]).text)], none)
    assert (repeat.reason, repeat.neighbour_id) == (Reason.EXACT, candidate(holders[0]).persona_id)


def test_a_restart_changes_no_decision_at_the_very_threshold(tmp_path):
    first = scattered(100, size=64)
    second = np.stack([at_cosine(one, THRESHOLD + 4e-6 * (at - 50), at) for at, one in enumerate(first)])
    unbroken, logged = index(size=64), index(tmp_path, size=64)
    for kept in (unbroken, logged):
        kept.admit(candidates(*range(100)), first)
    restarted = index(tmp_path, size=64)
    later = candidates(*range(100, 200))
    verdicts = unbroken.admit(later, second)
    assert restarted.admit(later, second) == verdicts
    assert 0 < len(admitted(verdicts)) < 100
