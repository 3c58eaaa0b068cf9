"""`populace init` looks at documents and endpoint, and what it writes is a config; `populace schema` describes one."""

import json

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.config_text import config_text
from pipelines.settings import Settings, load
from pipelines.settings.words import config_schema, keys, words

ENDPOINT = {"base_url": "http://h", "model": "m"}
LEAST = {"run_dir": "r", "documents": {"path": ["x"]}, "llm": {"endpoints": [ENDPOINT]}}


def init(tmp_path, *arguments, ok=True):
    to = tmp_path / "my.yaml"
    done = CliRunner().invoke(app, ["init", *map(str, arguments), "--to", str(to)])
    if ok:
        assert done.exit_code == 0, done.output
        return load(to), done.stdout
    assert done.exit_code == 2 and not to.exists(), done.output
    [line] = done.stderr.splitlines()
    return line


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"id": at, "text": f"Note {at}."}) + "\n" for at in range(30)))
    return path


def test_every_setting_has_words_and_no_words_are_of_a_setting_that_is_gone():
    known = list(keys())
    assert [key for key in words() if key not in known] == []
    for key in known:
        parts = key.split(".")
        above = [".".join(parts[: at + 1]) for at in range(len(parts))]
        assert any(one in words() for one in above) or any(one.startswith(f"{key}.") for one in words()), key


def test_a_config_of_defaults_alone_says_them_as_they_are():
    text = config_text(LEAST, [])
    assert yaml.safe_load(text) == LEAST
    inner = ("bios", "conversations.tools.", "llm.endpoints.price.", "personas.dedup.endpoint.")
    assert [key for key in keys() if not key.startswith(inner) and f"{key.rpartition('.')[2]}:" not in text] == []


def test_a_section_loads_when_its_comments_are_taken_away():
    lines = config_text(LEAST, []).splitlines()
    begun = next(at for at, line in enumerate(lines) if line.startswith("# personas:"))
    ended = next(at for at, line in enumerate(lines) if line.startswith("# audit:"))
    bare = [line.replace("# ", "", 1) for line in lines[begun:ended]]
    told = yaml.safe_load("\n".join([*lines[:begun], *bare, *lines[ended:]]))
    assert Settings.model_validate(told) == Settings.model_validate(LEAST)


def test_documents_are_counted_and_the_endpoint_is_asked_for_its_models(tmp_path, corpus, model_server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret-value")
    server = model_server(keys=["sk-secret-value"], models=["text-embedding-3-small", "gpt-5-mini", "other"])
    settings, said = init(tmp_path, corpus, "--endpoint", server.base_url, "--key", "env:MY_KEY", "--count", 50)
    assert "documents: 30 in 1 file (1 jsonl)" in said and "has text-embedding" not in said
    assert settings.conversations.count == 50 and settings.llm.endpoints[0].keys == ["env:MY_KEY"]
    assert settings.llm.endpoints[0].model != "text-embedding-3-small"
    text = (tmp_path / "my.yaml").read_text()
    assert "sk-secret" not in text + said and "# documents: 30 in 1 file" in text
    assert json.loads((tmp_path / "populace.schema.json").read_text())["title"] == "A config of populace"


def test_the_field_of_the_text_is_found(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"n": 1, "title": "A", "body": "Long text."}) + "\n")
    settings, said = init(tmp_path, path, "--endpoint", "embedded")
    assert settings.documents.text_field == "body" and "the field body" in said
    path.write_text(json.dumps({"persona": "A nurse of the night shift."}) + "\n")
    (tmp_path / "my.yaml").unlink()
    settings, _ = init(tmp_path, path, "--endpoint", "embedded")
    assert settings.documents.kind == "persona"


def test_what_cannot_be_used_is_told_in_one_line_and_nothing_is_written(tmp_path, corpus):
    assert "name the model with --model" in init(tmp_path, corpus, "--endpoint", "http://127.0.0.1:9/v1", ok=False)
    assert "must start with http" in init(tmp_path, corpus, "--endpoint", "h/v1", ok=False)
    assert "not the key itself" in init(tmp_path, corpus, "--endpoint", "http://h", "--key", "sk-secret", ok=False)
    assert "no such" in init(tmp_path, tmp_path / "none.txt", "--endpoint", "embedded", ok=False)
    assert "export it" in init(tmp_path, corpus, "--endpoint", "http://h", "--key", "env:NOT_THERE_1", ok=False)


def test_an_endpoint_that_is_not_there_yet_may_be_named_with_its_model(tmp_path, corpus):
    settings, said = init(tmp_path, corpus, "--endpoint", "http://127.0.0.1:9/v1", "--model", "later")
    assert settings.llm.endpoints[0].model == "later" and "could not be asked" in said


def test_a_config_that_is_there_is_replaced_only_when_asked(tmp_path, corpus):
    init(tmp_path, corpus, "--endpoint", "embedded")
    done = CliRunner().invoke(app, ["init", str(corpus), "--endpoint", "embedded", "--to", str(tmp_path / "my.yaml")])
    assert done.exit_code == 2 and "--force" in done.stderr
    init(tmp_path, corpus, "--endpoint", "embedded", "--force")


def test_the_schema_takes_what_the_settings_take_and_refuses_what_they_refuse():
    schema = config_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert list(validator.iter_errors(LEAST)) == []
    for wrong in ({"seeed": 1}, {"personas": {"depth": 9}}, {"conversations": {"sampling": "best"}}):
        assert list(validator.iter_errors(LEAST | wrong)), wrong
    assert "cosine" in schema["$defs"]["Dedup"]["properties"]["threshold"]["description"]


def test_the_schema_is_printed_as_it_is(tmp_path):
    done = CliRunner().invoke(app, ["schema"])
    assert done.exit_code == 0 and json.loads(done.stdout) == config_schema()
