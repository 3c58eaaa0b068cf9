import random
from collections import Counter
from itertools import product

import numpy as np
import pytest
from geometry import unit

from actors.densities import densities, measure, sample_of
from actors.encoder import Encoding
from actors.index import PersonaIndex
from actors.local_encoder import LocalEncoder
from actors.logic.density import Crowd, Sample, sample
from actors.logic.near_duplicates import form_key
from actors.logic.sampling import Sampling, draw
from cluster.errors import UserError

SIZE = 16
TEXTS = [f"a person number {number}" for number in range(900)]
IDS = [form_key(f"id {text}")[:12].hex() for text in TEXTS]


def vectors() -> np.ndarray:
    draw = np.random.default_rng(0)
    common = unit(draw.normal(size=SIZE)) + 0.5 * unit(draw.normal(size=(800, SIZE)))
    rare = unit(draw.normal(size=SIZE)) + 0.5 * unit(draw.normal(size=(100, SIZE)))
    return unit(np.concatenate([common, rare]))


def index_of(folder, texts=TEXTS, rows=None) -> PersonaIndex:
    index = PersonaIndex(SIZE, folder, "m")
    rows = vectors() if rows is None else rows
    index.keep([bytes.fromhex(IDS[TEXTS.index(text)]) for text in texts], [form_key(text) for text in texts], rows)
    return index


def test_densities_are_found_by_the_id_of_a_persona(tmp_path):
    index = index_of(tmp_path)
    assert measure(index, sample_of(index, 0), tmp_path) == 900
    found = densities([tmp_path], IDS)
    assert np.mean(found[:800]) / np.mean(found[800:]) == pytest.approx(8, rel=0.15)
    assert densities([tmp_path], [IDS[850]]) == found[850:851]


def test_several_shards_measure_what_one_does(tmp_path):
    one = index_of(tmp_path / "one")
    measure(one, sample_of(one, 0), tmp_path / "one")
    shards = [index_of(tmp_path / str(at), TEXTS[at::3], vectors()[at::3]) for at in range(3)]
    everybody = sample((sample_of(shard, 0) for shard in shards), 0)
    for at, shard in enumerate(shards):
        assert measure(shard, everybody, tmp_path / str(at)) == 300
    assert densities([tmp_path / str(at) for at in range(3)], IDS) == densities([tmp_path / "one"], IDS)


def test_a_measurement_that_was_killed_goes_on_and_one_that_is_done_is_not_made_again(tmp_path):
    index = index_of(tmp_path / "whole")
    everybody = sample_of(index, 0)
    index_of(tmp_path / "begun", TEXTS[:400], vectors()[:400])
    half = PersonaIndex(SIZE, tmp_path / "begun", "m")
    assert measure(half, everybody, tmp_path / "begun") == 400
    rest = index_of(tmp_path / "begun", TEXTS[400:], vectors()[400:])
    before = sorted((tmp_path / "begun" / "density").glob("*.run"))
    assert measure(rest, everybody, tmp_path / "begun") == 900
    measure(index, everybody, tmp_path / "whole")
    assert densities([tmp_path / "begun"], IDS) == densities([tmp_path / "whole"], IDS)
    written = sorted((tmp_path / "begun" / "density").glob("*.run"))
    assert written != before
    assert measure(rest, everybody, tmp_path / "begun") == 900
    assert sorted((tmp_path / "begun" / "density").glob("*.run")) == written


def test_by_another_sample_everybody_is_measured_again(tmp_path):
    index = index_of(tmp_path)
    rows = next(iter(index.pieces()))
    everybody, some = sample_of(index, 0), Sample(rows.ids[:50], rows.vectors[:50])
    measure(index, some, tmp_path)
    before = densities([tmp_path], IDS)
    measure(index, everybody, tmp_path)
    assert densities([tmp_path], IDS) != before
    assert densities([tmp_path], IDS) == list(map(int, Crowd(everybody).density(rows.ids, rows.vectors)))


def test_a_log_without_anybody_measures_nobody(tmp_path):
    index = PersonaIndex(SIZE, tmp_path, "m")
    assert measure(index, sample_of(index, 0), tmp_path) == 0


def test_a_persona_without_a_vector_is_named(tmp_path):
    index = index_of(tmp_path)
    measure(index, sample_of(index, 0), tmp_path)
    with pytest.raises(UserError, match="of the persona ffffffffffffffffffffffff"):
        densities([tmp_path], [IDS[0], "f" * 24])


NURSES = [
    f"A nurse on the {ward} ward of a hospital in {town} who {habit}."
    for ward, town, habit in product(
        ("night", "children's", "burns", "stroke", "cancer"),
        ("Leeds", "Accra", "Turin", "Osaka", "Lima", "Oslo"),
        ("worries about her patients", "trains young nurses", "wants shorter shifts"),
    )
]
SMITHS = [
    f"A blacksmith in {place} who forges {thing} from old iron."
    for place, thing in product(("a hill village", "the Ardennes", "Galicia"), ("gates", "ploughs", "horseshoes"))
]


def test_by_a_real_model_rare_people_are_heard_as_often_as_common_ones(tmp_path):
    people = NURSES + SMITHS
    index = PersonaIndex(384, tmp_path, "MiniLM")
    ids = [form_key(one)[:12] for one in people]
    index.keep(ids, [form_key(one) for one in people], LocalEncoder(Encoding()).encode(people))
    measure(index, sample_of(index, 0), tmp_path)
    found = densities([tmp_path], [one.hex() for one in ids])

    def heard(sampling: Sampling) -> float:
        """The share of rows that the smiths get, who are one in eleven."""
        picks = draw([0] * len(people), 2000, sampling, random.Random(0), densities=found)
        return Counter(pick >= len(NURSES) for pick in picks)[True] / 2000

    assert heard(Sampling.UNIFORM) == pytest.approx(1 / 11, abs=0.01)
    assert heard(Sampling.COVERAGE) == pytest.approx(1 / 2, abs=0.1)
