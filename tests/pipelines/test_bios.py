"""Variables from files, and who is written about: what needs neither Ray nor a model."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from actors.logic.bio_rule import BioRule
from actors.logic.bio_text import BioKind
from actors.logic.growth import Failure
from actors.logic.variables import Variables
from cluster.errors import UserError
from pipelines.bios import bios
from pipelines.bios.people import Drawn, Unit, drawn, of_personas
from pipelines.bios.variables import as_yaml, read_population
from pipelines.settings import Bios, parse

RULE = BioRule(BioKind.BIO, "A town", "", 0)


def written(folder: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return [str(folder / name.replace("_", ".")) for name in files]


def refusal(*files: str) -> str:
    with pytest.raises(UserError) as caught:
        read_population(files)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_tables_variables_and_files_that_a_yaml_names_make_one_population(tmp_path):
    files = written(
        tmp_path,
        region_csv="region,count\nnorth,1\nsouth,3\n",
        more_yaml="variables:\n  - {name: age, kind: numerical, distribution: integer, min: 18, max: 90}\n"
        "tables:\n  - file: work.csv\n  - csv: |\n      given:work;home;count\n      job;owns;1\n",
    )
    written(tmp_path, work_csv="given:region,work,probability\nnorth,job,1\nsouth,job,1\n")
    assert list(read_population(files).draw(0, 0)) == ["region", "age", "work", "home"]
    assert list(read_population([str(tmp_path / "r*.csv")]).draw(0, 0)) == ["region"]


def test_files_that_name_each_other_for_ever_are_refused(tmp_path):
    first, _ = written(tmp_path, a_yaml="tables: [{file: b.yaml}]", b_yaml="tables: [{file: a.yaml}]")
    assert refusal(first) == f"bios.variables: {first} names itself among its tables"
    written(tmp_path, c_csv="region,count\nnorth,1\n")
    twice = written(tmp_path, d_yaml="tables: [{file: e.yaml}]", e_yaml="tables: [{file: c.csv}]")
    assert read_population(twice[:1]).draw(0, 0) == {"region": "north"}


def test_variables_written_for_a_person_begin_with_their_names_and_cases_with_theirs():
    land = {"name": "land", "kind": "binary", "given": ["sex"], "cases": [{"when": ["male"], "probabilities": [1, 0]}]}
    lines = as_yaml(Variables.model_validate({"variables": [land]}).variables).splitlines()
    assert [line.split(":")[0].strip("- ") for line in lines if ":" in line] == [
        *("variables", "name", "kind", "given", "cases", "when", "probabilities"),
    ]


def test_what_is_written_for_a_person_to_edit_is_read_as_the_same(tmp_path):
    variables = Variables.model_validate(
        {
            "variables": [
                {
                    "name": "städte",
                    "kind": "categorical",
                    "values": ["yes", "1", "ü"],
                    "probabilities": [0.2, 0.3, 0.5],
                },
                {
                    "name": "b",
                    "kind": "binary",
                    "given": ["städte"],
                    "cases": [{"when": [one], "probabilities": [0.5, 0.5]} for one in ("yes", "1", "ü")],
                },
            ]
        }
    )
    [path] = written(tmp_path, v_yaml=as_yaml(variables.variables))
    assert "städte" in Path(path).read_text(encoding="utf-8")
    rows = [read_population([path]).draw(0, at) for at in range(50)]
    assert {row["städte"] for row in rows} == {"yes", "1", "ü"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a_yaml", "variables: [", "is not YAML: see line"),
        ("a_yaml", "- x", "holds no `variables`"),
        ("a_yaml", "{}", "no variables"),
        ("a_yaml", "variables: [{name: a}]", "variables[0].kind is missing"),
        ("a_yaml", "varables: []", "varables is no setting; did you mean variables?"),
        ("a_yaml", "tables: [{}]", "tables[0] must have a file or a csv"),
        ("a_yaml", "tables: [{file: b.csv}]", "b.csv cannot be read"),
        ("a_txt", "x", "must be .csv, .tsv, .yaml or .yml"),
        ("a_csv", "a,count\nx,1\nx,2\n", "line 3 repeats line 2"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(tmp_path, name, text, said):
    [path] = written(tmp_path, **{name: text})
    assert said in refusal(path)


def test_a_file_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes("größe,count\nklein,1\n".encode("latin-1"))
    assert "not a text in UTF-8" in refusal(str(tmp_path / "a.csv"))


def test_a_person_is_the_same_in_whatever_unit_and_asks_the_models_in_turn(tmp_path):
    files = written(tmp_path, a_csv="a,count\nx,1\ny,1\n", b_csv="b,count\nx,1\ny,2\n")
    people = Drawn(read_population(files), RULE, ["m", "n", "o"])
    [(_, whole)] = people.of([Unit("all", 0, 30)])
    parts = [one for _, part in people.of([Unit("1", 0, 7), Unit("2", 7, 30)]) for one in part]
    assert parts == whole and len({one.bio_id for one in whole}) == 30
    assert [one.model for one in whole] == ["m", "n", "o"] * 10
    [(_, [later])] = people.of([Unit("x", 12, 13)])
    assert later == whole[12]


def test_words_of_the_description_contradict_nobody(tmp_path):
    [path] = written(tmp_path, a_csv="coast,sex,count\nnorth,f,1\nsouth,m,1\n")
    rule = replace(RULE, description="A town on the North Sea")
    assert drawn(read_population([path]), rule, []).rule.domains == {"coast": ("south",), "sex": ("f", "m")}


def test_personas_of_a_file_are_taken_once_each_and_broken_ones_in_their_place(tmp_path):
    lines = [json.dumps({"text": f"A baker number {at} in Paris"}) for at in range(5)]
    lines[3] = "{broken"
    [path] = written(tmp_path, p_jsonl="\n".join(lines))
    people = of_personas(Bios(personas=path), RULE)
    assert people.size == 5
    [(_, first), (_, last)] = people.of([Unit("1", 1, 2), Unit("2", 3, 5)])
    assert [one.persona for one in first] == ["A baker number 1 in Paris"]
    assert isinstance(last[0], Failure) and last[1].persona == "A baker number 4 in Paris"


def test_the_fingerprint_follows_what_the_variables_say_and_not_where_they_are(tmp_path):
    files = written(tmp_path, a_csv="a,count\nx,1\ny,1\n", b_yaml="tables: [{csv: 'a,count\n\n    x,1\n\n    y,1'}]")
    one, other = (Drawn(read_population([file]), RULE, []).fingerprint for file in files)
    assert one == other
    written(tmp_path, a_csv="a,count\nx,1\ny,2\n")
    assert Drawn(read_population(files[:1]), RULE, []).fingerprint != one


ENDPOINT = {"base_url": "http://127.0.0.1:9/v1", "model": "m", "price": {"input": 1, "output": 1}}


def refused(folder: Path, chosen: dict | None, documents: str = "", **endpoint: object) -> str:
    """Why a command is refused before it starts anything."""
    content = {"run_dir": str(folder / "run"), "llm": {"endpoints": [ENDPOINT | endpoint]}}
    content |= {"documents": {"path": documents}} if documents else {}
    content |= {"bios": chosen} if chosen is not None else {}
    with pytest.raises(UserError) as caught:
        bios(parse(content), Console(file=io.StringIO()))
    assert "\n" not in str(caught.value)
    return str(caught.value)


FILES = {
    "off.csv": "region,probability\nnorth,0.5\nsouth,0.4\n",
    "cycle.yaml": 'tables: [{csv: "given:b,a,count\\nx,x,1"}, {csv: "given:a,b,count\\nx,x,1"}]',
    "lone.csv": "given:regoin,work,count\nnorth,job,1\n",
    "prompt.txt": "Write about {persno}: {traits}",
    "people.jsonl": '{"who": "A baker"}\n',
}


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"variables": "off.csv"}, "off.csv: the probabilities sum to 0.9, not to 1"),
        ({"variables": "cycle.yaml"}, "cycle: a → b → a"),
        ({"variables": "lone.csv"}, "regoin is no variable"),
        ({"variables": "gone.csv"}, "gone.csv: no such file"),
        ({"prompt": "prompt.txt"}, "{persno}"),
        ({"prompt": "gone.txt"}, "gone.txt cannot be read"),
        ({"description": "  "}, "bios has no description"),
        ({"description": None, "language": None}, "bios has no description"),
        ({"description": "x" * 200_001}, "bios.description has 200,001 characters; 200,000 are the most"),
        ({"kind": "novel"}, "bios.kind must be"),
        ({"num_of_samples": 0}, "bios.num_of_samples must be at least 1"),
        ({"personas": "people.jsonl"}, "set bios.persona_field to one of them"),
        ({"personas": "people.jsonl", "variables": "off.csv"}, "leave one out"),
        ({"discription": "Mars"}, "bios.discription is no setting; did you mean description?"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(tmp_path, monkeypatch, chosen, said):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    assert said in refused(tmp_path, {"description": "A town"} | chosen)


def test_without_bios_or_documents_the_command_says_what_is_missing(tmp_path):
    assert refused(tmp_path, None, documents="a.txt").startswith("bios is missing")
    assert refused(tmp_path, None) == "documents is missing"


def test_a_model_that_no_endpoint_has_is_refused(tmp_path, model_server):
    server = model_server(models=["m"])
    chosen = {"description": "A town", "models": ["m", "other"]}
    assert "has no model other" in refused(tmp_path, chosen, base_url=server.base_url)
    chosen["models"] = ["smollm2-135m-instruct", "other"]
    said = refused(tmp_path, chosen, base_url="embedded", model="smollm2-135m-instruct")
    assert said == "bios.models names other, but the embedded endpoint serves smollm2-135m-instruct alone"


def test_a_description_that_leaves_no_room_for_an_answer_is_refused(tmp_path, model_server):
    said = refused(tmp_path, {"description": "word " * 5_000}, base_url=model_server().base_url, context_tokens=4096)
    assert "24,999 characters" in said and "4,096" in said and "shorten it" in said


def test_a_budget_needs_the_price_of_every_model_that_is_named(tmp_path):
    content = {"run_dir": str(tmp_path), "bios": {"description": "x", "models": ["dear"]}}
    with pytest.raises(UserError, match=r"^llm has a budget_usd, but dear no price at endpoints\[0\]"):
        parse(content | {"llm": {"endpoints": [ENDPOINT], "budget_usd": 5}})
