import pytest

from actors.logic.depth import MAX_DEPTH, auto_depth, layer_size, pool_size, target_per_document

SIZES = [5, 30, 155, 780, 3905, 19530, 97655]


def test_a_pool_of_five_children_each_has_the_sizes_of_the_contract():
    assert [pool_size(depth) for depth in range(7)] == SIZES


@pytest.mark.parametrize("depth", range(7))
def test_the_size_is_the_closed_form_of_the_contract(depth):
    assert pool_size(depth) == 5 * (5 ** (depth + 1) - 1) // 4


@pytest.mark.parametrize("fan_out", [1, 2, 3, 5, 50])
def test_the_layers_add_up_to_the_pool(fan_out):
    for depth in range(MAX_DEPTH + 1):
        assert sum(layer_size(layer, fan_out) for layer in range(depth + 1)) == pool_size(depth, fan_out)


@pytest.mark.parametrize(
    ("last_target", "depth"), [(17, 0), (92, 1), (467, 2), (2342, 3), (11717, 4), (58592, 5), (10**9, 6)]
)
def test_the_depth_changes_after_these_targets_and_not_before(last_target, depth):
    assert auto_depth(last_target) == depth
    assert auto_depth(last_target + 1) == min(depth + 1, MAX_DEPTH)


def test_the_smallest_targets_need_the_seed_layer_alone():
    assert [auto_depth(target) for target in (0, 1, 5)] == [0, 0, 0]


@pytest.mark.parametrize("depth", range(7))
def test_a_target_that_is_a_pool_gets_just_that_depth(depth):
    assert auto_depth(SIZES[depth]) == depth


@pytest.mark.parametrize(("fan_out", "target", "depth"), [(2, 4, 0), (2, 10, 1), (4, 12, 0), (4, 52, 1), (10, 60, 0)])
def test_a_tie_goes_to_the_smaller_depth(fan_out, target, depth):
    assert target - pool_size(depth, fan_out) == pool_size(depth + 1, fan_out) - target
    assert auto_depth(target, fan_out) == depth


@pytest.mark.parametrize("fan_out", [1, 2, 3, 4, 5, 7, 10, 50])
def test_the_chosen_pool_is_the_closest_of_all_and_the_smallest_of_those(fan_out):
    pools = [pool_size(depth, fan_out) for depth in range(MAX_DEPTH + 1)]
    for target in [*range(1, 300), 10**3, 10**4, 10**6]:
        distances = [abs(pool - target) for pool in pools]
        assert auto_depth(target, fan_out) == distances.index(min(distances))


@pytest.mark.parametrize(
    ("count", "documents", "target"), [(100, 10, 10), (101, 10, 11), (1, 10, 1), (10, 1, 10), (20_000, 3, 6667)]
)
def test_the_target_of_a_document_is_its_rows_rounded_up(count, documents, target):
    assert target_per_document(count, documents) == target


def test_without_a_document_or_a_row_the_target_is_still_a_number():
    assert target_per_document(100, 0) == 100
    assert target_per_document(0, 5) == 1


@pytest.mark.parametrize(("count", "documents", "depth"), [(1700, 100, 0), (1701, 100, 1), (92, 1, 1), (93, 1, 2)])
def test_rows_and_documents_lead_to_a_depth(count, documents, depth):
    assert auto_depth(target_per_document(count, documents)) == depth


# --- personas that were given


def test_the_pool_of_a_given_persona_is_itself_and_its_relations():
    assert [pool_size(depth, given=True) for depth in range(7)] == [1, 6, 31, 156, 781, 3906, 19531]
    assert [layer_size(depth, given=True) for depth in range(4)] == [1, 5, 25, 125]


@pytest.mark.parametrize("fan_out", [1, 2, 5, 50])
def test_a_given_persona_grows_as_one_that_was_found_does(fan_out):
    for depth in range(1, MAX_DEPTH + 1):
        assert pool_size(depth, fan_out, given=True) == 1 + pool_size(depth - 1, fan_out)


@pytest.mark.parametrize(
    ("last_target", "depth"), [(3, 0), (18, 1), (93, 2), (468, 3), (2343, 4), (11718, 5), (10**9, 6)]
)
def test_the_depth_of_given_personas_changes_after_these_targets_and_not_before(last_target, depth):
    assert auto_depth(last_target, given=True) == depth
    assert auto_depth(last_target + 1, given=True) == min(depth + 1, MAX_DEPTH)


@pytest.mark.parametrize(("fan_out", "target", "depth"), [(2, 2, 0), (4, 3, 0), (2, 5, 1), (4, 13, 1)])
def test_a_tie_between_depths_of_given_personas_goes_to_the_smaller(fan_out, target, depth):
    below, above = (abs(pool_size(one, fan_out, given=True) - target) for one in (depth, depth + 1))
    assert below == above
    assert auto_depth(target, fan_out, given=True) == depth
