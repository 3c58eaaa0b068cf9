import asyncio

import pytest

from cluster.gathered import Gathered


class Asked:
    """Doubles numbers while it is free to, and remembers what was asked together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self, items):
        self.batches.append(list(items))
        await self.free.wait()
        if -1 in items:
            raise ValueError("minus one")
        return [2 * item for item in items]


def test_what_comes_within_the_time_is_asked_together_and_answered_to_each():
    async def main():
        asked = Asked()
        gathered = Gathered(asked, every_s=0.05)
        first = await gathered.get(0)
        rest = await asyncio.gather(*(gathered.get(number) for number in range(1, 40)))
        assert [first, *rest] == [2 * number for number in range(40)]
        assert asked.batches == [[0], list(range(1, 40))]

    asyncio.run(main())


@pytest.mark.parametrize("overlap", [True, False])
def test_an_ask_waits_for_the_one_before_it_where_they_must_not_overlap(overlap):
    async def main():
        asked = Asked()
        asked.free.clear()
        gathered = Gathered(asked, overlap=overlap)
        waiting = []
        for number in range(4):
            waiting.append(asyncio.create_task(gathered.get(number)))
            for _ in range(5):
                await asyncio.sleep(0)
        assert asked.batches == ([[0], [1], [2], [3]] if overlap else [[0]])
        asked.free.set()
        assert await asyncio.gather(*waiting) == [0, 2, 4, 6]
        assert asked.batches == ([[0], [1], [2], [3]] if overlap else [[0], [1, 2, 3]])

    asyncio.run(main())


def test_a_fault_is_told_to_those_who_asked_together_and_to_nobody_else():
    async def main():
        gathered = Gathered(Asked(), every_s=0.01)
        assert await gathered.get(1) == 2
        bad = await asyncio.gather(gathered.get(-1), gathered.get(5), return_exceptions=True)
        assert [str(one) for one in bad] == ["minus one"] * 2
        assert await gathered.get(6) == 12

    asyncio.run(main())


def test_one_who_gives_up_waiting_costs_the_others_nothing():
    async def main():
        asked = Asked()
        asked.free.clear()
        gathered = Gathered(asked)
        waiting = [asyncio.create_task(gathered.get(number)) for number in range(3)]
        while not asked.batches:
            await asyncio.sleep(0)
        waiting[1].cancel()
        asked.free.set()
        assert await asyncio.gather(waiting[0], waiting[2]) == [0, 4]

    asyncio.run(main())
