"""Tables and variables as people write them: what is read, and how what is wrong is told."""

from __future__ import annotations

import pytest
import yaml

from actors.logic.variables import Variables, blocks, population, table
from cluster.errors import UserError


def test_a_table_may_have_semicolons_a_byte_order_mark_quotes_and_blank_lines():
    block = table("t.csv", ['\ufeffregion;"work, paid";count\n', "\n", 'north; "teacher; part-time" ;3\n'])
    assert block.names == ("region", "work, paid")
    assert block.laws[()].values == (("north", "teacher; part-time"),)


def test_counts_within_each_combination_of_parents_are_made_shares():
    block = table("t.csv", ["given:region,work,count", "north,fish,3", "north,school,1", "south,school,5"])
    assert block.laws[("north",)].running == (0.75, 1.0)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "last column must be count or probability"),
        (["region,share", "north,1"], "got 'share'"),
        (["region,count"], "no rows"),
        (["given:region,count", "north,1"], "no variable"),
        (["region,region,count", "a,b,1"], "column region twice"),
        (["region,,count", "a,b,1"], "without a name"),
        (["region,count", "north"], "line 2 has 1 cells"),
        (["region,count", "north,many"], "line 2: 'many' is no number"),
        (["region,count", ",3"], "line 2: region is empty"),
        (["region,count", "north,1", "south,1", "north,2"], "line 4 repeats line 2: north"),
        (["region,probability", "north,0.5", "south,0.4"], "sum to 0.9"),
        (["given:sex,region,probability", "f,north,0.5", "f,south,0.4"], "t.csv, sex f: the probabilities sum to 0.9"),
        (["region,count", "north,-3"], "-3"),
        (["region,count", "north,0"], "all counts are 0"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_its_line(lines, said):
    with pytest.raises(UserError) as caught:
        table("t.csv", lines)
    assert said in str(caught.value) and str(caught.value).startswith("t.csv") and "\n" not in str(caught.value)


WRITTEN = """
variables:
  - {name: region, kind: categorical, values: [north, south], probabilities: [0.3, 0.7]}
  - {name: owns_boat, kind: binary, given: [region], cases: [
      {when: [north], probabilities: [0.9]}, {when: [south], probabilities: [0.2, 0.8]}]}
  - {name: age, kind: numerical, distribution: normal, mean: 45, sd: 12, min: 18, max: 90}
  - {name: rents, kind: categorical, values: [yes, no], probabilities: [0.5, 0.5]}
"""


def test_variables_of_every_kind_are_read_and_yes_stays_a_word():
    people = population(blocks(Variables.model_validate(yaml.safe_load(WRITTEN)).variables, "v.yaml"))
    rows = [people.draw(0, at) for at in range(2_000)]
    assert list(rows[0]) == ["region", "owns_boat", "age", "rents"]
    assert {row["rents"] for row in rows} == {row["owns_boat"] for row in rows} == {"yes", "no"}
    assert all(isinstance(row["age"], int) and 18 <= row["age"] <= 90 for row in rows)
    owners = [row["owns_boat"] == "yes" for row in rows if row["region"] == "north"]
    assert 0.85 < sum(owners) / len(owners) < 0.95


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ({"name": "x", "kind": "categorical"}, "no values"),
        ({"name": "x", "kind": "categorical", "values": ["a", "b"]}, "no probabilities"),
        ({"name": "x", "kind": "numerical"}, "no distribution"),
        ({"name": "x", "kind": "binary", "values": ["a", "b", "c"], "probabilities": [1, 0, 0]}, "3 values"),
        ({"name": "x", "kind": "binary", "given": ["y"]}, "given y, but has no cases"),
        ({"name": "x", "kind": "binary", "cases": [{"when": ["a"], "probabilities": [1]}]}, "given nothing"),
        (
            {"name": "x", "kind": "binary", "given": ["y"], "cases": [{"when": ["a", "b"], "probabilities": [1]}]},
            "a value for each of y",
        ),
        (
            {"name": "x", "kind": "binary", "given": ["y"], "cases": [{"when": ["a"], "probabilities": [1]}] * 2},
            "twice",
        ),
    ],
)
def test_a_variable_that_cannot_be_used_is_refused_by_its_name(variable, said):
    with pytest.raises(UserError) as caught:
        list(blocks(Variables.model_validate({"variables": [variable]}).variables, "v.yaml"))
    assert said in str(caught.value) and str(caught.value).startswith("v.yaml: x")
