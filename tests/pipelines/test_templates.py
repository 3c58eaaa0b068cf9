"""Templates of the user's own: what cannot be used is refused in one line that names the setting and the way out."""

import pytest

from cluster.errors import UserError
from pipelines.growth_rule import growth_rule
from pipelines.settings import parse

ENDPOINT = {"base_url": "http://h/v1", "model": "m", "keys": ["env:K"]}


def rule_of(**prompts):
    content = {"run_dir": "r", "documents": {"path": "x"}, "llm": {"endpoints": [ENDPOINT]}}
    return growth_rule(parse(content | {"personas": {"prompts": prompts}}), 1)


def test_a_template_of_ones_own_is_taken_without_the_space_around_it(tmp_path):
    (tmp_path / "own.txt").write_text("\n Who knows {text}? Answer {{as JSON}}. \n")
    assert rule_of(text=str(tmp_path / "own.txt")).wording.text == "Who knows {text}? Answer {{as JSON}}."


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Who? {text} {nonsense}", "prompt personas.prompts.text has {nonsense}, but the fields are {already}, "),
        (b"Who reads this?", "prompt personas.prompts.text lacks {text}"),
        (b'Who? {text} Answer {"persona": "..."}', "double braces that are literal"),
        (b"Who? {text} }", "write a literal brace as {{ or }}"),
        (b"Who? {text!r}", "formats a field"),
        (b"Who? {text} {}", "has {}, but the fields are"),
        (b"Who? {text} {text.__class__}", "has {text.__class__}, but the fields are"),
        (b"{text} " + b"x " * 5_000_000, "has 10,000,006 characters; 20,000 are the most"),
        (b"Who? {text} \xff\xfe", "cannot be read (not a text in UTF-8)"),
        (b" \n", "own.txt is empty"),
        (None, "cannot be read (No such file or directory)"),
    ],
    ids=range(11),
)
def test_what_is_no_template_is_refused_in_one_line(tmp_path, content, said):
    if content is not None:
        (tmp_path / "own.txt").write_bytes(content)
    with pytest.raises(UserError) as caught:
        rule_of(text=str(tmp_path / "own.txt"))
    line = str(caught.value)
    assert said in line and "personas.prompts.text" in line and "\n" not in line and len(line) < 400


def test_a_template_for_children_is_held_against_its_own_fields(tmp_path):
    (tmp_path / "own.txt").write_text("Who knows {text}?")
    with pytest.raises(UserError, match=r"personas.prompts.persona has \{text\}"):
        rule_of(persona=str(tmp_path / "own.txt"))
