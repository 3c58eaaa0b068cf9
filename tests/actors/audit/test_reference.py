"""References that are no tables of our groups are refused in a line that names what is wrong and what there is."""

import pytest

from actors.logic.audit.reference import reference, references
from actors.logic.variables import table
from cluster.errors import UserError


def read(*lines):
    return reference(table("census.csv", lines))


def refusal(*lines):
    with pytest.raises(UserError) as caught:
        read(*lines)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_counts_become_shares_under_our_names():
    found = read("Gender,count", "women,51", "Male,49")
    assert found.attributes == ("gender",)
    assert found.shares == pytest.approx({("woman",): 0.51, ("man",): 0.49})


def test_hyphens_are_dashes_and_isco_groups_have_numbers():
    assert set(read("age,probability", "20-29,0.5", "80 and over,0.5").shares) == {("20–29",), ("80+",)}
    assert set(read("occupation,count", "2,10", "managers,3").shares) == {("professionals",), ("managers",)}


def test_several_columns_are_combinations():
    found = read("gender,occupation,count", "woman,managers,1", "man,managers,3")
    assert found.attributes == ("gender", "occupation")
    assert found.shares["man", "managers"] == pytest.approx(0.75)


def test_a_column_that_is_no_attribute():
    said = refusal("gendre,count", "woman,51", "man,49")
    assert said.startswith("census.csv: gendre is no attribute") and "did you mean gender?" in said
    assert "there are: age, gender, region" in said


def test_a_group_that_is_none_of_ours():
    said = refusal("age,count", "18-24,51", "25-34,49")
    assert "18-24 is no group of age" in said and "20–29" in said


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["gender,count", "woman,51"], "a single group"),
        (["gender,count", "woman,51", "female,49"], "woman twice"),
        (["given:region,gender,count", "Asia,woman,1", "Asia,man,1"], "given:region is of no use"),
        (["gender,count", "woman,-1", "man,49"], "must be 0 or more"),
        (["gender,count", "woman,0", "man,0"], "all counts are 0"),
        (["gender,share", "woman,1", "man,1"], "must be count or probability"),
    ],
)
def test_what_else_is_refused(lines, said):
    assert said in refusal(*lines)


def test_two_of_the_same_attributes_are_refused():
    one = table("a.csv", ["gender,count", "woman,1", "man,1"])
    with pytest.raises(UserError, match=r"b.csv and a.csv are both of gender"):
        references([one, table("b.csv", ["gender,count", "woman,1", "man,2"])])
