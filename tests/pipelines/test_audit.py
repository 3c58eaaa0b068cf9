"""The audit of a run's folder, how it is told, and which references are read."""

import json
from pathlib import Path

import numpy as np
import pytest
from geometry import scattered
from planted import planted

from actors.index.log import IndexLog
from actors.index.rows import rows_of
from actors.logic import tables
from actors.logic.audit.prototypes import sentences
from actors.logic.near_duplicates import form_key
from actors.logic.persona import Persona, persona_id
from cluster.errors import UserError
from cluster.manifest import Manifest
from cluster.parts import write_part
from pipelines.audit import audited
from pipelines.audit_reference import digest, is_outdated, read_references
from pipelines.audit_section import audit_lines, audit_section
from pipelines.settings import parse

SIZE, PARTS = 16, ["a", "b", "c"]


def write(folder: Path, texts: list[str], log: bool = True) -> Manifest:
    """A run's parts, its manifest, and the log of its vectors."""
    people = [Persona(persona_id("d", None, text), "d", None, 0, text, "read", "m", "p", 0.0) for text in texts]
    manifest = Manifest(folder / "manifest.json", "r", {})
    for at, name in enumerate(PARTS):
        mine = people[at :: len(PARTS)]
        write_part(folder / "personas", name, tables.personas(mine))
        manifest.personas.parts[name] = {"personas": len(mine)}
    manifest.personas.done = True
    if log:
        kept = IndexLog(folder / "dedup", "m", SIZE)
        vectors = scattered(len(people), size=SIZE).astype(np.float16)
        ids = [bytes.fromhex(one.persona_id) for one in people]
        kept.append(rows_of(ids, [form_key(one.text) for one in people], vectors))
        kept.close()
    return manifest


@pytest.fixture
def skewed(tmp_path) -> tuple[Path, Manifest]:
    texts = [text for _, text in planted(1500, women=0.4, women_nurses=0.95)]
    return tmp_path, write(tmp_path, [*texts, "Ein Mann und die Frau.", "A person who reads."])


def encode(texts):
    return scattered(len(texts), seed=7, size=SIZE)


def census(folder: Path, *lines: str) -> str:
    path = folder / "census.csv"
    path.write_text("\n".join(lines))
    return str(path)


def test_a_planted_tie_is_found_and_told(skewed):
    folder, manifest = skewed
    found = audited(folder, manifest, 0, (), encode)
    assert (found["personas"], found["read"], found["not_english"], found["nothing_said"]) == (1502, 1502, 1, 1)
    assert found["stereotypes"][0]["does"] == "nurse" and len(found["stereotypes"][0]["examples"]) == 2
    card = audit_section(found)
    assert "## Who the personas are" in card and "| Gender | 100 % |" in card
    assert "nurse: woman" in card and "× as often as the others" in card
    assert "### What it cannot see" in card and "Names are not read as a gender" in card
    told = dict(audit_lines(found))
    assert set(told) == {"who they are", "stereotypes"} and "nurse" in told["stereotypes"]


def test_a_skew_beside_a_reference_is_named_over_and_under(tmp_path):
    manifest = write(tmp_path, [text for _, text in planted(800, women=0.8)])
    references = read_references([census(tmp_path, "gender,count", "woman,50", "man,50")])
    found = audited(tmp_path, manifest, 0, references, encode)
    card = audit_section(found)
    assert "Over-represented (Gender): woman 8" in card and "50 % there, 1.6 ×" in card
    assert "Under-represented (Gender): man" in card
    assert "None beyond what chance makes." in card
    assert "2 groups differ" in dict(audit_lines(found))["beside reference"]


def test_what_is_kept_is_plain_json_of_bounded_size(skewed):
    folder, manifest = skewed
    found = audited(folder, manifest, 0, (), encode)
    assert json.loads(json.dumps(found)) == found
    assert len(json.dumps(found)) < 60_000


def test_it_does_not_matter_in_which_parts_they_lie(skewed):
    folder, manifest = skewed
    one = audited(folder, manifest, 0, (), encode)
    manifest.personas.parts = dict(reversed(manifest.personas.parts.items()))
    assert audited(folder, manifest, 0, (), encode) == one


def test_a_seed_below_zero_is_as_good_as_another(skewed):
    folder, manifest = skewed
    below = audited(folder, manifest, -7, (), encode)
    assert below["associations"] and audited(folder, manifest, -7, (), encode) == below
    assert audited(folder, manifest, 7, (), encode)["associations"] != below["associations"], "other draws"


def test_vectors_that_know_nothing_are_not_trusted_and_it_is_said(skewed):
    folder, manifest = skewed
    found = audited(folder, manifest, 0, (), encode)
    assert [one["attribute"] for one in found["prototypes"]][:2] == ["age", "gender"]
    assert all(one["why_not"] for one in found["prototypes"])
    assert "Prototypes were not trusted with: age" in audit_section(found)
    assert len(sentences()) > 60


def test_without_vectors_prototypes_are_left_out_and_the_rest_is_there(tmp_path):
    manifest = write(tmp_path, [text for _, text in planted(200)], log=False)
    found = audited(tmp_path, manifest, 0, (), encode)
    assert found["prototypes"] == [] and "personas.dedup.scope" in found["left_out"][0]
    assert "Left out: prototypes" in audit_section(found)
    assert found["attributes"][0]["said"] == 200


def test_a_judge_is_held_against_the_lexicon(skewed):
    folder, manifest = skewed
    found = audited(
        folder, manifest, 0, (), encode, lambda rows: {row.persona_id: {"gender": "woman"} for row in rows[:50]}
    )
    gender = next(one for one in found["judge"] if one["attribute"] == "gender")
    assert gender["personas"] == 50 and 0 < gender["right"] < 1
    assert "gender: a model that read 50 descriptions agrees with" in audit_section(found)


def test_texts_of_models_act_as_no_markdown(tmp_path):
    people = (text.replace("number", "<b>|*") for _, text in planted(900, women=0.3, women_nurses=0.95))
    card = audit_section(audited(tmp_path, write(tmp_path, list(people)), 0))
    assert "&lt;b&gt;\\|\\*" in card and "<b>" not in card


def test_where_there_was_no_audit_nothing_is_told():
    assert audit_section(None) == audit_section({"of": "x"}) == ""
    assert list(audit_lines(None)) == list(audit_lines({"of": "x"})) == []


def test_references_are_the_tables_that_bios_are_drawn_from(tmp_path):
    (tmp_path / "people.yaml").write_text(
        "variables: [{name: gender, kind: categorical, values: [woman, man], probabilities: [0.5, 0.5]}]"
    )
    [found] = read_references([str(tmp_path / "people.yaml")])
    assert found.shares == {("woman",): 0.5, ("man",): 0.5}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["gendre,count", "woman,1", "man,1"], "did you mean gender?"),
        (["gender,count", "woman,1", "ladies,1"], "ladies is no group of gender"),
        (["gender"], "the last column must be count or probability"),
    ],
)
def test_a_wrong_reference_is_refused_in_one_line_that_names_setting_and_file(tmp_path, lines, said):
    with pytest.raises(UserError) as caught:
        read_references([census(tmp_path, *lines)])
    line = str(caught.value)
    assert line.startswith("audit.reference: ") and "census.csv" in line and said in line and "\n" not in line


def test_a_reference_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"audit.reference: .*nowhere.csv: no such file"):
        read_references([str(tmp_path / "nowhere.csv")])


def settings(folder, **audit):
    endpoint = {"base_url": "http://h/v1", "model": "m", "keys": ["env:K"]}
    return parse({"run_dir": str(folder), "documents": {"path": "x"}, "llm": {"endpoints": [endpoint]}, "audit": audit})


def test_an_audit_is_outdated_by_another_reference_or_a_judge(skewed):
    folder, manifest = skewed
    plain = settings(folder)
    assert not is_outdated(plain, manifest), "there is none"
    manifest.facts["audit"] = {"of": digest(plain, manifest)}
    assert not is_outdated(plain, manifest)
    assert is_outdated(settings(folder, judge=True), manifest)
    reference = census(folder, "gender,count", "woman,50", "man,50")
    assert is_outdated(settings(folder, reference=reference), manifest)
