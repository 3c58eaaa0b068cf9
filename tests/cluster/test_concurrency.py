from cluster.concurrency import START, Concurrency, adaptive


def rounds(bound: Concurrency, count: int, latency_s: float = 1.0) -> None:
    for _ in range(count):
        for _ in range(int(bound.allowed)):
            bound.answered(int(bound.allowed), latency_s)


def test_it_starts_low_and_doubles_a_round_while_all_is_well():
    bound = adaptive(256)
    assert bound.allowed == START
    rounds(bound, 1)
    assert 2 * START - 1 <= bound.allowed <= 2 * START
    rounds(bound, 6)
    assert bound.allowed == 256


def test_it_never_starts_above_the_most():
    assert adaptive(3).allowed == 3


def test_a_storm_is_one_cut_and_the_next_storm_another():
    bound = Concurrency(256, 64.0)
    for _ in range(64):
        bound.throttled(sent_at=9.0, now=10.0)
    assert bound.allowed == 32
    bound.throttled(sent_at=10.5, now=11.0)
    assert bound.allowed == 16


def test_it_is_never_cut_to_nothing():
    bound = adaptive(8)
    for second in range(20):
        bound.throttled(second + 0.5, second + 1.0)
    assert bound.allowed == 1


def test_after_a_cut_it_comes_back_within_a_few_rounds_step_by_step():
    bound = Concurrency(256, 256.0)
    bound.throttled(0.0, 1.0)
    rounds(bound, 1)
    assert 140 <= bound.allowed <= 146
    rounds(bound, 9)
    assert bound.allowed == 256


def test_where_the_bound_is_not_felt_it_does_not_grow():
    bound = adaptive(256)
    for _ in range(100):
        bound.answered(in_flight=1, latency_s=1.0)
    assert bound.allowed == START


def test_it_does_not_grow_while_the_endpoint_queues():
    bound = adaptive(256)
    rounds(bound, 2)
    for _ in range(100):
        bound.answered(int(bound.allowed), 10.0)
    before = bound.allowed
    for _ in range(100):
        bound.answered(int(bound.allowed), 10.0)
    assert bound.allowed == before < 256


def test_work_that_takes_longer_by_itself_is_not_held_back_for_ever():
    bound = adaptive(256)
    rounds(bound, 1, latency_s=0.2)
    rounds(bound, 40, latency_s=5.0)
    assert bound.allowed == 256
