from cluster.journal.compaction_rule import Candidate, Rule, plan

MB = 1 << 20
RULE = Rule()


def numbers(candidates: list[Candidate], rule: Rule = RULE) -> list[list[int]]:
    return [[one.number for one in group] for group in plan(candidates, rule)]


def some(count: int, size: int, live: int = 100, start: int = 0) -> list[Candidate]:
    return [Candidate(number, size, 100, live) for number in range(start, start + count)]


def test_nothing_pays_nothing():
    assert plan([], RULE) == []


def test_many_small_segments_become_one():
    assert numbers(some(63, MB)) == []
    assert numbers(some(64, MB)) == [list(range(64))]


def test_large_segments_without_waste_are_left_alone():
    assert numbers(some(1_000, 256 * MB)) == []
    assert numbers(some(10, 256 * MB) + some(64, MB, start=10)) == [list(range(10, 74))]


def test_a_notable_share_of_duplicates_pays_where_it_is_of_some_size():
    assert numbers(some(4, 256 * MB, live=74)) == [[0, 1, 2, 3]]
    assert numbers(some(4, 256 * MB, live=80)) == []
    assert numbers(some(4, MB, live=10)) == []


def test_a_wasteful_segment_is_rewritten_though_it_be_alone_and_a_sound_one_is_not():
    assert numbers([*some(1, 256 * MB, live=0), *some(1, 256 * MB, start=1)]) == [[0]]


def test_a_small_segment_is_not_rewritten_alone():
    rule = Rule(output_bytes=300 * MB)
    candidates = [*some(2, 280 * MB, live=50), *some(1, 20 * MB, start=2), *some(1, 290 * MB, live=98, start=3)]
    assert numbers(candidates, rule) == [[0, 1, 2]]


def test_groups_are_as_large_as_asked_by_what_stays_in_them():
    rule = Rule(output_bytes=100 * MB)
    assert numbers(some(70, 20 * MB), rule) == [list(range(at, at + 5)) for at in range(0, 70, 5)]
    assert numbers(some(70, 20 * MB, live=50), rule) == [list(range(at, at + 10)) for at in range(0, 70, 10)]


def test_what_was_compacted_is_not_soon_compacted_again():
    rule = Rule(output_bytes=100 * MB)
    after = [
        Candidate(at, sum(one.bytes for one in group), 500, 500)
        for at, group in enumerate(plan(some(70, 20 * MB), rule))
    ]
    assert plan(after, rule) == []
