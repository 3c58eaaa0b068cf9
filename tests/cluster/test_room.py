"""Whether what is wanted finds room on nodes."""

from cluster.room import Node, Want, homeless, told

CALLERS = Want("callers", 4, {"CPU": 0.25, "egress": 1})


def test_whoever_fits_on_some_node_has_a_home():
    assert homeless([CALLERS, Want("pools", 2, {"CPU": 0.5})], [Node({"CPU": 1}), Node({"CPU": 1, "egress": 4})]) == []


def test_those_who_find_no_place_are_counted():
    [missing] = homeless([CALLERS], [Node({"CPU": 8, "egress": 3})])
    assert (missing.who, missing.count) == ("callers", 1)


def test_one_process_is_not_spread_over_two_nodes():
    assert homeless([Want("embedders", 1, {"CPU": 2})], [Node({"CPU": 1}), Node({"CPU": 1})])


def test_the_picky_ones_choose_first():
    nodes = [Node({"CPU": 1, "GPU": 1}), Node({"CPU": 1})]
    assert homeless([Want("pools", 1, {"CPU": 1}), Want("embedders", 1, {"CPU": 1, "GPU": 1})], nodes) == []


def test_labels_are_kept_to():
    wants = [Want("callers", 1, {"CPU": 1}, {"zone": "b"})]
    assert homeless(wants, [Node({"CPU": 1}, {"zone": "b"})]) == []
    assert homeless(wants, [Node({"CPU": 1}, {"zone": "a"}), Node({"CPU": 1})]) == wants


def test_it_is_told_who_lacks_what_and_what_there_is():
    nodes = [Node({"CPU": 8, "egress": 3}, {"zone": "a"}), Node({"CPU": 2})]
    wants = [CALLERS, Want("embedders", 1, {"CPU": 0.5}, {"zone": "b"})]
    assert told(homeless(wants, nodes), nodes) == (
        "no room for 1 × callers of CPU 0.25 and egress 1; 1 × embedders of CPU 0.5 and zone=b; "
        "the cluster has CPU 10, egress 3, 0 with zone=b on 2 nodes"
    )
