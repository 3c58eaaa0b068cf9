"""Where actors are placed, and what a run starts at least."""

from jobs import write_config

from pipelines.placement import placed, wants
from pipelines.settings import Place, load


def test_without_a_word_an_actor_takes_a_quarter_of_a_core():
    assert placed(Place()) == {"num_cpus": 0.25}


def test_resources_of_ray_and_of_ones_own_and_labels_become_options():
    place = Place(resources={"CPU": 1, "GPU": 0.5, "memory": 2e9, "egress": 1}, labels={"zone": "a"})
    assert placed(place, num_gpus=0.1) == {
        "num_cpus": 1,
        "num_gpus": 0.5,
        "memory": 2e9,
        "resources": {"egress": 1},
        "label_selector": {"zone": "a"},
    }


def test_what_a_run_starts_at_least_is_counted(tmp_path):
    placement = {"callers": {"resources": {"egress": 1}}, "dedup": {"resources": {"memory": 4e9}}}
    cluster = {"pools": 2, "embedders": {"min": 3}, "placement": placement}
    dedup = {"dedup": {"scope": "corpus", "shards": 4}}
    found = wants(load(write_config(tmp_path, "http://x/v1", "x.jsonl", cluster=cluster, personas=dedup)), callers=5)
    counted = {one.who: (one.count, one.each) for one in found}
    assert counted == {
        "callers": (5, {"CPU": 0.25, "egress": 1}),
        "pools": (2, {"CPU": 0.25}),
        "dedup shards": (4, {"CPU": 0.25, "memory": 4e9}),
        "embedders": (3, {"CPU": 0.5}),
        "stages of Ray Data": (2, {"CPU": 0.25}),
    }
