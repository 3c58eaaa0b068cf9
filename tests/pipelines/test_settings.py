import copy
import math

import pytest
import yaml

from actors.encoder import Backend, Precision
from actors.logic.dialogue import Context, PersonaIn
from actors.logic.document import DocumentKind
from actors.logic.near_duplicates import Scope
from actors.logic.persona import Granularity
from actors.logic.sampling import Sampling
from cluster.errors import UserError
from cluster.keys import Price
from pipelines.endpoints import endpoints, resolve_keys
from pipelines.settings import EndpointSettings, Settings, load, parse

SECRET = "sk-secret"
CONTENT = {
    "run_dir": "runs/first",
    "documents": {"path": ["a.txt", "b.txt"]},
    "llm": {"endpoints": [{"base_url": "http://h/v1", "model": "m"}]},
}


def settings(*overrides: str, **sections: object) -> Settings:
    return parse(copy.deepcopy(CONTENT) | sections, overrides)


def refusal(*overrides: str, **sections: object) -> str:
    with pytest.raises(UserError) as caught:
        settings(*overrides, **sections)
    return str(caught.value)


# --- what is taken


def test_the_defaults_are_those_of_the_contract():
    found = settings()
    assert found.seed == 0
    assert (found.documents.text_field, found.documents.id_field, found.documents.limit) == ("text", None, None)
    assert (found.llm.timeout_s, found.llm.roles) == (120, {})
    assert (found.personas.per_call, found.personas.depth, found.personas.target_per_document) == (5, "auto", None)
    assert found.personas.granularity is Granularity.MEDIUM
    assert (found.personas.dedup.threshold, found.personas.dedup.scope) == (0.9, Scope.CORPUS)
    assert (found.conversations.count, found.conversations.max_turns) == (1000, 3)
    assert (found.conversations.sampling, found.conversations.context) == (Sampling.DEPTH_WEIGHTED, Context.DOCUMENT)
    assert found.conversations.respondent_prompt == "You are a helpful assistant."
    assert found.llm.endpoints[0].max_concurrency == 256
    assert (found.cluster.address, found.cluster.callers.min, found.cluster.callers.max) == (None, 1, 4)


def test_the_config_of_the_contract_is_taken(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("""
run_dir: runs/first            # local path
seed: 0
documents:
  path: [corpus/*.jsonl]
  text_field: text
  id_field: null
  limit: null
llm:
  endpoints:
    - base_url: http://127.0.0.1:8000/v1
      model: gpt-5-mini
      keys: ["env:OPENAI_API_KEY", "file:keys.txt"]
      requests_per_minute: null
      tokens_per_minute: null
      max_concurrency: 256
      price: {input: 0.25, output: 2.0}
  roles: {}
  timeout_s: 120
  budget_usd: null
personas:
  per_call: 5
  depth: auto
  target_per_document: null
  granularity: medium
  dedup: {threshold: 0.9, scope: corpus, model: null}
conversations:
  count: 1000
  max_turns: 3
  strategy: persona
  sampling: depth_weighted
  respondent_prompt: "You are a helpful assistant."
  context: document
  auto_improve: false
  candidates: 1
cluster:
  address: null
  callers: {min: 1, max: 4}
""")
    found = load(path)
    assert found.llm.endpoints[0].keys == ["env:OPENAI_API_KEY", "file:keys.txt"]
    assert found.llm.endpoints[0].price.output == 2.0


def test_one_path_may_stand_without_a_list():
    assert settings(documents={"path": "a.txt"}).documents.path == ["a.txt"]


def test_an_address_is_kept_without_the_slash_at_its_end():
    assert settings("llm.endpoints.0.base_url=http://h/v1/").llm.endpoints[0].base_url == "http://h/v1"


def test_the_folder_of_a_run_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert settings().folder == tmp_path / "runs" / "first"


# --- --set


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("conversations.count=50", lambda found: found.conversations.count == 50),
        ("personas.dedup.threshold=0.5", lambda found: found.personas.dedup.threshold == 0.5),
        ("personas.depth=auto", lambda found: found.personas.depth == "auto"),
        ("documents.path=[x.txt, y.txt]", lambda found: found.documents.path == ["x.txt", "y.txt"]),
        ("documents.path.1=x.txt", lambda found: found.documents.path == ["a.txt", "x.txt"]),
        ("llm.endpoints.0.model=z", lambda found: found.llm.endpoints[0].model == "z"),
        ("llm.endpoints.0.price={input: 1, output: 2}", lambda found: found.llm.endpoints[0].price.output == 2),
        ("llm.roles.judge=strict", lambda found: found.llm.roles == {"judge": "strict"}),
        ("cluster.address=ray://h:10001", lambda found: found.cluster.address == "ray://h:10001"),
        ("conversations.respondent_prompt=a=b", lambda found: found.conversations.respondent_prompt == "a=b"),
        ("documents.limit=null", lambda found: found.documents.limit is None),
        (" conversations.count =7", lambda found: found.conversations.count == 7),
    ],
)
def test_a_setting_is_overridden(override, read):
    assert read(settings(override))


def test_a_later_override_wins_and_the_file_is_left_as_it_was():
    content = copy.deepcopy(CONTENT)
    found = parse(content, ["documents.path.0=x", "documents.path.0=y", "llm.endpoints.0.model=z"])
    assert found.documents.path == ["y", "b.txt"]
    assert content == CONTENT


@pytest.mark.parametrize("place", ["2", "-1", "first", ""])
def test_a_place_that_a_list_does_not_have_is_refused(place):
    assert refusal(f"documents.path.{place}=x") == (
        f"--set documents.path.{place}: {place!r} is no place in a list of 2 (they count from 0)"
    )


@pytest.mark.parametrize("override", ["conversations.count", "=5", " =5", "count"])
def test_an_override_without_key_or_value_is_refused_with_an_example(override):
    assert refusal(override) == f"--set {override!r} must look like conversations.count=100"


# --- what is refused, and in which words


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("run_dri=x", "run_dri is no setting; did you mean run_dir?"),
        ("conversations.cuont=5", "conversations.cuont is no setting; did you mean count?"),
        ("personas.dedup.treshold=1", "personas.dedup.treshold is no setting; did you mean threshold?"),
        ("llm.endpoints.0.modle=x", "llm.endpoints[0].modle is no setting; did you mean model?"),
        ("llm.endpoints.0.price.inptu=1", "llm.endpoints[0].price.inptu is no setting; did you mean input?"),
        ("cluster.callers.mx=1", "cluster.callers.mx is no setting; did you mean max?"),
        ("personas.zzz=1", "personas.zzz is no setting"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(override, said):
    assert said in refusal(override).splitlines()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("personas.dedup.threshold=1.2", "personas.dedup.threshold must be in (0, 1], got 1.2"),
        ("personas.dedup.minhash=0.5", "personas.dedup.minhash must be in [0.7, 1], got 0.5"),
        ("personas.dedup.threshold=0", "personas.dedup.threshold must be in (0, 1], got 0"),
        ("personas.dedup.threshold=.nan", "personas.dedup.threshold must be in (0, 1], got nan"),
        ("personas.per_call=51", "personas.per_call must be in [1, 50], got 51"),
        ("personas.per_call=0", "personas.per_call must be in [1, 50], got 0"),
        ("personas.depth=7", "personas.depth must be 0…6 or auto, got 7"),
        ("personas.depth=-1", "personas.depth must be 0…6 or auto, got -1"),
        ("personas.depth=deep", "personas.depth must be 0…6 or auto, got 'deep'"),
        ("personas.target_per_document=0", "personas.target_per_document must be at least 1, got 0"),
        ("conversations.count=0", "conversations.count must be at least 1, got 0"),
        ("conversations.count=1.5", "conversations.count must be a whole number, got 1.5"),
        ("conversations.count=many", "conversations.count must be a whole number, got 'many'"),
        ("conversations.max_turns=0", "conversations.max_turns must be in [1, 50], got 0"),
        ("conversations.max_tokens=1", "conversations.max_tokens must be at least 16, got 1"),
        ("documents.limit=0", "documents.limit must be at least 1, got 0"),
        ("documents.max_characters=1", "documents.max_characters must be in [200, 2000000], got 1"),
        ("documents.path=[]", "documents.path is empty; name at least one"),
        ("llm.endpoints=[]", "llm.endpoints is empty; name at least one"),
        ("llm.timeout_s=0", "llm.timeout_s must be more than 0, got 0"),
        ("llm.timeout_s=soon", "llm.timeout_s must be a number, got 'soon'"),
        ("llm.endpoints.0.max_concurrency=0", "llm.endpoints[0].max_concurrency must be at least 1, got 0"),
        ("llm.endpoints.0.requests_per_minute=0", "llm.endpoints[0].requests_per_minute must be more than 0, got 0"),
        ("llm.endpoints.0.tokens_per_minute=-1", "llm.endpoints[0].tokens_per_minute must be more than 0, got -1"),
        ("llm.endpoints.0.price={input: -1, output: 2}", "llm.endpoints[0].price.input must be at least 0, got -1"),
        ("llm.endpoints.0.price={input: 1}", "llm.endpoints[0].price.output is missing"),
        ("cluster.callers.max=0", "cluster.callers.max must be at least 1, got 0"),
        ("cluster.callers.min=9", "cluster.callers max must be at least min, got max 4 and min 9"),
        ("cluster.embedders={min: 9, max: 4}", "cluster.embedders max must be at least min, got max 4 and min 9"),
        ("cluster.embedders.max=0", "cluster.embedders.max must be at least 1, got 0"),
        ("seed=x", "seed must be a whole number, got 'x'"),
    ],
)
def test_a_value_out_of_its_range_names_the_key_the_range_and_the_value(override, said):
    assert refusal(override) == said


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("personas.granularity=medum", "must be 'coarse', 'medium' or 'fine', got 'medum'; did you mean medium?"),
        ("conversations.sampling=unifrom", "got 'unifrom'; did you mean uniform?"),
        ("conversations.sampling=covrage", "got 'covrage'; did you mean coverage?"),
        ("personas.dedup.scope=corpsu", "must be 'corpus', 'document' or 'none', got 'corpsu'; did you mean corpus?"),
        ("llm.roles.persna=x", "'judge' or 'tool', got 'persna'; did you mean persona?"),
    ],
)
def test_a_value_that_is_none_of_the_known_names_the_nearest(override, said):
    assert refusal(override).startswith(override.partition("=")[0])
    assert refusal(override).endswith(said)


@pytest.mark.parametrize("scope", ["document", "none"])
def test_coverage_is_refused_where_no_vectors_of_the_corpus_are_kept(scope):
    said = refusal("conversations.sampling=coverage", f"personas.dedup.scope={scope}")
    assert said.startswith(f"conversations.sampling is coverage, but personas.dedup.scope is {scope}")
    assert settings("conversations.sampling=coverage").conversations.sampling is Sampling.COVERAGE


EMBEDS = {"base_url": "http://h/v1/", "model": "e", "keys": ["env:EMBEDDING_KEY"]}


def test_one_reference_is_a_list_of_one():
    assert settings("audit.reference=census.csv").audit.reference == ["census.csv"]
    assert "audit.refrence is no setting; did you mean reference?" in refusal("audit.refrence=census.csv")


def test_a_baseline_needs_vectors_to_be_held_against():
    assert settings("personas.baseline=500").personas.baseline == 500
    assert "dedup.scope: corpus" in refusal("personas.baseline=500", "personas.dedup.scope=document")


def dedup(**given: object) -> dict[str, object]:
    return {"personas": {"dedup": given}}


def test_personas_are_embedded_by_torch_in_full_precision_unless_said_otherwise():
    found = settings().personas.dedup
    assert (found.backend, found.precision, found.endpoint) == (Backend.TORCH, Precision.FLOAT32, None)
    asked = settings("personas.dedup.backend=onnx", "personas.dedup.precision=int8").personas.dedup
    assert (asked.backend, asked.precision) == (Backend.ONNX, Precision.INT8)


def test_an_endpoint_of_embeddings_is_taken_with_references_to_keys_alone():
    found = settings(**dedup(endpoint=EMBEDS)).personas.dedup.endpoint
    assert (found.base_url, found.model, found.keys) == ("http://h/v1", "e", ["env:EMBEDDING_KEY"])
    said = refusal(**dedup(endpoint=EMBEDS | {"keys": [SECRET]}))
    assert said == "personas.dedup.endpoint.keys must be 'env:NAME' or 'file:PATH', not the key itself"
    assert "must start with http" in refusal(**dedup(endpoint=EMBEDS | {"base_url": "embedded"}))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"precision": "int8"}, "personas.dedup has precision: int8, which only backend: onnx has"),
        (
            {"backend": "onnx", "precision": "bfloat16"},
            "personas.dedup has precision: bfloat16, which only backend: torch",
        ),
        ({"endpoint": EMBEDS, "model": "m"}, "personas.dedup has a model and an endpoint"),
        ({"endpoint": EMBEDS, "backend": "onnx"}, "personas.dedup has an endpoint, which has a backend"),
        ({"backend": "onx"}, "personas.dedup.backend must be 'torch' or 'onnx', got 'onx'; did you mean onnx?"),
    ],
)
def test_ways_of_embedding_that_exclude_each_other_are_refused(given, said):
    assert refusal(**dedup(**given)).startswith(said)
    assert len(refusal(**dedup(**given)).splitlines()) == 1


@pytest.mark.parametrize("missing", ["run_dir", "documents", "llm"])
def test_what_is_missing_is_named(missing):
    content = copy.deepcopy(CONTENT)
    del content[missing]
    with pytest.raises(UserError, match=rf"^{missing} is missing$"):
        parse(content)


@pytest.mark.parametrize("section", ["personas", "documents", "cluster", "llm", "conversations"])
def test_a_section_that_is_none_lists_the_keys_that_it_has(section):
    said = refusal(**{section: 5})
    assert said.startswith(f"{section} must be a section with keys of its own (")
    assert all(name in said for name in type(getattr(settings(), section)).model_fields)


def test_each_wrong_key_is_a_line_of_its_own():
    said = refusal("conversations.count=0", "personas.per_call=0", "run_dri=x").splitlines()
    assert len(said) == 3


@pytest.mark.parametrize("address", ["localhost:8000", "h/v1", "ftp://h", ""])
def test_an_address_without_http_is_refused(address):
    assert "must start with http:// or https://" in refusal(f"llm.endpoints.0.base_url='{address}'")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("gs://bucket/run", "gs://… is no place for a run: use a folder, or s3://BUCKET/NAME"),
        ("s3://id:hush@bucket/run", "credentials and AWS_ENDPOINT_URL go by the environment"),
        ("s3://bucket/run?region=x", "credentials and AWS_ENDPOINT_URL go by the environment"),
        ("s3://", "lacks its bucket"),
    ],
)
def test_a_run_dir_that_is_no_place_is_refused(address, said):
    line = refusal(f"run_dir='{address}'")
    assert line.startswith("run_dir cannot be used: ") and said in line and "hush" not in line


def test_a_budget_that_could_not_be_kept_is_refused():
    assert refusal("llm.budget_usd=5") == (
        "llm has a budget_usd, but endpoints[0] no price, so it could not be kept; set one"
    )


OPENAI = "llm.endpoints.0.base_url=https://api.openai.com/v1"


def test_a_model_that_the_table_knows_needs_no_price_for_a_budget():
    found = settings("llm.budget_usd=5", OPENAI, "llm.endpoints.0.model=gpt-5-mini-2025-08-07").llm
    assert found.endpoints[0].price_of("gpt-5-mini-2025-08-07").price == Price(0.25, 2.0, 0.025)
    [line] = found.listed()
    assert line.startswith("price of gpt-5-mini-2025-08-07 from the table of 2026-")
    assert line.endswith("set llm.endpoints[0].price if yours differs")


def test_the_price_in_the_config_goes_before_the_tables():
    found = settings(OPENAI, "llm.endpoints.0.model=gpt-5-mini", "llm.endpoints.0.price={input: 1, output: 2}").llm
    assert found.endpoints[0].price_of("gpt-5-mini").price == Price(1, 2)
    assert found.listed() == []


def test_a_budget_needs_the_price_of_each_roles_model():
    told = ["llm.budget_usd=5", "llm.endpoints.0.price={input: 1, output: 2}", "llm.roles.respondent=big"]
    assert refusal(*told) == (
        "llm has a budget_usd, but big no price at endpoints[0], "
        "so it could not be kept; set one under its price.models"
    )
    told[1] = "llm.endpoints.0.price={input: 1, output: 2, models: {big: {input: 3, output: 4}}}"
    [one] = endpoints(settings(*told))
    assert one.price_for(one.model_for("respondent")) == Price(3, 4)
    assert one.price_for(one.model_for("persona")) == Price(1, 2)


def test_roles_at_a_known_host_have_the_tables_prices():
    models = ["llm.endpoints.0.model=gpt-5-nano", "llm.roles.respondent=gpt-5"]
    found = settings("llm.budget_usd=5", OPENAI, *models)
    [one] = endpoints(found)
    assert found.llm.listed()[1].endswith("set llm.endpoints[0].price.models.gpt-5 if yours differs")
    assert one.price_for("gpt-5") == Price(1.25, 10, 0.125) and one.price_for("gpt-5-nano") == Price(0.05, 0.4, 0.005)


@pytest.mark.parametrize(
    ("price", "line"),
    [
        ("{input: 1, output: 2, models: {big: {input: 3}}}", "llm.endpoints[0].price.models.big.output is missing"),
        (
            "{input: 1, output: 2, models: {big: {input: -3, output: 1}}}",
            "llm.endpoints[0].price.models.big.input must be at least 0, got -3",
        ),
        (
            "{input: 1, output: 2, models: {gpt-4.1: {input: 3, output: 4, inptu: 1}}}",
            "llm.endpoints[0].price.models.gpt-4.1.inptu is no setting",
        ),
    ],
)
def test_a_wrong_price_of_a_roles_model_is_named(price, line):
    assert refusal(f"llm.endpoints.0.price={price}") == line


@pytest.mark.parametrize("value", ["0", "-1"])
def test_a_budget_of_nothing_is_refused(value):
    assert refusal(f"llm.budget_usd={value}").startswith("llm.budget_usd must be more than 0")


@pytest.mark.parametrize("value", [".inf", ".nan", "much"])
def test_a_budget_that_is_no_amount_is_refused(value):
    assert refusal(f"llm.budget_usd={value}").startswith("llm.budget_usd must be a number")


def test_batches_of_the_embedded_model_are_refused():
    said = refusal("llm.endpoints.0.base_url=embedded", "llm.endpoints.0.batch=true")
    assert said == "llm.endpoints[0] has batch: true, but the embedded model makes no batches; leave it out"


def test_a_budget_with_prices_is_taken():
    assert settings("llm.budget_usd=5", "llm.endpoints.0.price={input: 1, output: 2}").llm.budget_usd == 5


@pytest.mark.parametrize(
    "override",
    [
        "run_dir=5",
        "documents.text_field=5",
        "documents.path=5",
        "documents.path=[5]",
        "llm.endpoints=5",
        "llm.roles=5",
        "llm.small_model=maybe",
        "conversations.respondent_prompt=[]",
    ],
)
def test_no_message_is_in_the_words_of_the_library(override):
    said = refusal(override)
    assert said.startswith(override.partition("=")[0])
    assert "input should" not in said.lower() and "valid" not in said


@pytest.mark.parametrize("key", ["conversations.count", "seed", "personas.per_call", "documents.limit"])
def test_a_yes_is_no_number(key):
    assert refusal(f"{key}=true") == f"{key} must be a whole number, got True"


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1])
def test_a_seed_that_the_dataset_cannot_hold_is_refused_before_anything_is_paid(seed):
    assert refusal(f"seed={seed}").startswith("seed must be")


# --- the file


def test_a_config_that_is_not_there_names_the_nearest_file(tmp_path):
    (tmp_path / "run.yaml").write_text("a: b")
    with pytest.raises(UserError, match=r"rnu\.yaml: no such file; did you mean run\.yaml in its folder\?$"):
        load(tmp_path / "rnu.yaml")
    with pytest.raises(UserError, match=r"none/x\.yaml: no such file$"):
        load(tmp_path / "none" / "x.yaml")


@pytest.mark.parametrize("content", ["", "- a\n", "just words\n", "5"])
def test_a_config_without_keys_is_refused_with_an_example(tmp_path, content):
    (tmp_path / "run.yaml").write_text(content)
    with pytest.raises(UserError, match=r"run\.yaml holds no settings; it should be keys and values such as 'run_dir:"):
        load(tmp_path / "run.yaml")


@pytest.mark.parametrize("content", [b"a: [b", b"a: b: c", b"\ta: b", b"a: *b", b"a: \xff\xfe"])
def test_a_config_that_is_no_yaml_is_refused_on_one_line(tmp_path, content):
    (tmp_path / "run.yaml").write_bytes(content)
    with pytest.raises(UserError) as caught:
        load(tmp_path / "run.yaml")
    assert "run.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_where_the_yaml_is_wrong_is_told(tmp_path):
    (tmp_path / "run.yaml").write_text("run_dir: a\nseed: 0\ndocuments: b: c\n")
    with pytest.raises(UserError, match="line 3"):
        load(tmp_path / "run.yaml")


def test_a_folder_is_no_config(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path)


# --- keys never appear

IN_THE_CLEAR = [
    {"endpoints": [{"base_url": "http://h", "model": "m", "keys": [SECRET]}]},
    {"endpoints": [{"base_url": "http://h", "model": "m", "keys": SECRET}]},
    {"endpoints": [{"base_url": "http://h", "model": "m", "keys": {"first": SECRET}}]},
    {"endpoints": [{"base_url": "http://h", "model": "m", "keys": [[SECRET]]}]},
    {"endpoints": [{"base_url": "http://h", "model": "m", "key": SECRET}]},
    {"endpoints": [{"base_url": "http://h", "model": "m", "api_key": SECRET}]},
    {"endpoints": [{"base_url": "http://h", "model": "m", "keys": ["env:A", f" {SECRET}"]}]},
    {"endpoints": {"base_url": "http://h", "model": "m", "keys": [SECRET]}},
    {"endpoints": [[{"base_url": "http://h", "model": "m", "keys": [SECRET]}]]},
    {"endpoints": [SECRET]},
    {"endpoints": [{"base_url": "http://h", "model": "m"}], "keys": [SECRET]},
    {"endpoints": [{"base_url": "http://h", "model": "m"}], "api_key": SECRET},
    [{"base_url": "http://h", "model": "m", "keys": [SECRET]}],
]


@pytest.mark.parametrize("llm", IN_THE_CLEAR, ids=str)
def test_a_key_in_the_clear_is_refused_and_never_repeated(llm, tmp_path):
    assert SECRET not in refusal(llm=llm)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(CONTENT | {"llm": llm}))
    with pytest.raises(UserError) as caught:
        load(tmp_path / "run.yaml")
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_a_key_in_the_clear_is_told_how_to_be_given():
    said = refusal(f"llm.endpoints.0.keys=[{SECRET}]")
    assert said == "llm.endpoints[0].keys must be 'env:NAME' or 'file:PATH', not the key itself"


@pytest.mark.parametrize(
    "override", [f"llm.endpoints.0.keys={SECRET}", f"llm.endpoints.0.keys.0={SECRET}", f"llm.endpoints.0.key={SECRET}"]
)
def test_a_key_in_an_override_is_never_repeated(override):
    assert SECRET not in refusal(override)


@pytest.mark.parametrize(
    "line", [f'keys: ["{SECRET}]', f"keys: '{SECRET}", f"keys: [{SECRET}", f"key: a: {SECRET}", f"keys: *{SECRET}"]
)
def test_a_key_in_a_config_that_is_no_yaml_is_never_repeated(tmp_path, line):
    (tmp_path / "run.yaml").write_text(f"llm:\n  endpoints:\n    - base_url: http://h\n      {line}\n")
    with pytest.raises(UserError) as caught:
        load(tmp_path / "run.yaml")
    assert SECRET not in str(caught.value)


# --- personas that are given


def test_given_personas_stand_in_a_field_of_their_own_and_are_no_context():
    found = settings("documents.kind=persona")
    assert (found.documents.kind, found.documents.text_field) == (DocumentKind.PERSONA, "persona")
    assert found.conversations.context is Context.NONE
    assert settings("documents.kind=persona", "conversations.context=none", "documents.text_field=text") == parse(
        CONTENT | {"documents": CONTENT["documents"] | {"kind": "persona", "text_field": "text"}}
    )


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["documents.kind=persona", "conversations.context=document"],
            "conversations.context is document, but with documents.kind: persona there is no document to talk about; "
            "leave it out",
        ),
        (
            ["documents.kind=persona", "documents.max_characters=500"],
            "documents has max_characters, but with kind: persona nothing is cut; leave it out",
        ),
        (
            ["documents.kind=personas"],
            "documents.kind must be 'text' or 'persona', got 'personas'; did you mean persona?",
        ),
    ],
)
def test_what_does_not_go_with_given_personas_is_refused(overrides, said):
    assert refusal(*overrides) == said


# --- keys by reference


def endpoint(*keys: str) -> EndpointSettings:
    return EndpointSettings(base_url="http://h/v1", model="m", keys=list(keys))


def resolved(*keys: str) -> list[tuple[str, str]]:
    return [(label, secret.reveal()) for label, secret in resolve_keys(endpoint(*keys), "llm.endpoints[0]")]


def unresolved(*keys: str) -> str:
    with pytest.raises(UserError) as caught:
        resolve_keys(endpoint(*keys), "llm.endpoints[0]")
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_keys_are_found_in_the_environment_and_in_files(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", " sk-one\n")
    path = tmp_path / "keys.txt"
    path.write_text("# ours\nsk-two\n\n  sk-three  \n")
    assert resolved("env:MY_KEY", f"file:{path}") == [
        ("env:MY_KEY", "sk-one"),
        (f"file:{path} line 2", "sk-two"),
        (f"file:{path} line 4", "sk-three"),
    ]


def test_a_key_given_twice_counts_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-one")
    monkeypatch.setenv("SAME_KEY", "sk-one")
    path = tmp_path / "keys.txt"
    path.write_text("sk-one\nsk-two\nsk-two\n")
    found = resolved("env:MY_KEY", "env:SAME_KEY", "env:MY_KEY", f"file:{path}")
    assert found == [("env:MY_KEY", "sk-one"), (f"file:{path} line 2", "sk-two")]


def test_a_key_keeps_its_name_when_its_file_is_read_again_and_no_other_gets_it(tmp_path):
    path, labels = tmp_path / "keys.txt", {}
    endpoint = EndpointSettings(base_url="http://h/v1", model="m", keys=[f"file:{path}"])

    def read(*lines: str) -> list[tuple[str, str]]:
        path.write_text("\n".join(lines))
        found = resolve_keys(endpoint, "llm.endpoints[0]", labels)
        return [(name.removeprefix(f"file:{path} "), secret.reveal()) for name, secret in found]

    assert read("sk-one", "sk-two") == [("line 1", "sk-one"), ("line 2", "sk-two")]
    assert read("sk-new", "sk-one") == [("line 1 (2)", "sk-new"), ("line 1", "sk-one")]
    assert read("sk-two") == [("line 2", "sk-two")]


def test_a_file_below_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "keys.txt").write_text("sk-one\n")
    assert resolved("file:~/keys.txt")[0][1] == "sk-one"


def test_a_file_with_a_byte_order_mark_or_windows_lines_holds_its_keys_alone(tmp_path):
    path = tmp_path / "keys.txt"
    path.write_bytes(b"\xef\xbb\xbfsk-one\r\nsk-two\r\n")
    assert [value for _, value in resolved(f"file:{path}")] == ["sk-one", "sk-two"]


def test_a_variable_that_is_not_set_is_named_with_the_nearest_one(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.delenv("OPENAI_API_KYE", raising=False)
    said = unresolved("env:OPENAI_API_KYE")
    assert said.startswith("llm.endpoints[0].keys: the environment has no OPENAI_API_KYE; export it")
    assert said.endswith("did you mean OPENAI_API_KEY?")


@pytest.mark.parametrize("value", ["", "  "])
def test_a_variable_that_is_empty_is_as_good_as_not_set(monkeypatch, value):
    monkeypatch.setenv("MY_KEY", value)
    assert "has no MY_KEY" in unresolved("env:MY_KEY")


@pytest.mark.parametrize("content", ["", "\n\n", "# only a remark\n"])
def test_a_file_without_a_key_is_named(tmp_path, content):
    path = tmp_path / "keys.txt"
    path.write_text(content)
    assert unresolved(f"file:{path}") == f"llm.endpoints[0].keys: file:{path} holds no key; write one a line"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    assert "keys.txt cannot be read (No such file or directory)" in unresolved(f"file:{tmp_path}/keys.txt")
    assert "cannot be read (Is a directory)" in unresolved(f"file:{tmp_path}")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert "binary cannot be read (not a text file)" in unresolved(f"file:{tmp_path}/binary")


def test_an_endpoint_without_keys_has_one_that_is_none():
    [(label, value)] = resolved()
    assert label == "llm.endpoints[0] (no key)" and value


def test_callers_are_given_everything_that_was_set(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-one")
    first = {
        "base_url": "http://a/v1",
        "model": "big",
        "keys": ["env:MY_KEY"],
        "requests_per_minute": 60,
        "tokens_per_minute": 1000,
        "max_concurrency": 8,
        "price": {"input": 0.25, "output": 2},
    }
    second = {"base_url": "http://b/v1", "model": "small"}
    one, other = endpoints(settings(llm={"endpoints": [first, second], "roles": {"judge": "strict"}}))
    assert (one.name, one.base_url, one.model, one.max_concurrency) == ("llm.endpoints[0]", "http://a/v1", "big", 8)
    assert (one.requests_per_minute, one.tokens_per_minute, one.price) == (60, 1000, Price(0.25, 2.0))
    assert [(label, secret.reveal()) for label, secret in one.keys] == [("env:MY_KEY", "sk-one")]
    assert (one.model_for("judge"), one.model_for("persona")) == ("strict", "big")
    assert (other.name, other.price, other.requests_per_minute) == ("llm.endpoints[1]", None, None)
    assert "sk-one" not in repr(one)


@pytest.mark.parametrize("price", [{"input": math.inf, "output": 1.0}, {"input": 1.0, "output": math.inf}])
def test_a_price_without_end_is_unknown(price):
    [found] = endpoints(settings(llm={"endpoints": [{"base_url": "http://h", "model": "m", "price": price}]}))
    assert found.price is None


# --- talks and tasks


def test_a_task_is_one_question_without_a_document_unless_told_otherwise():
    for strategy in ("math", "npc", "prompts/haiku.txt"):
        found = settings(f"conversations.strategy={strategy}").conversations
        assert (found.max_turns, found.context, found.needs_personas) == (1, Context.NONE, True)
    told = settings("conversations.strategy=math", "conversations.max_turns=2", "conversations.context=document")
    assert (told.conversations.max_turns, told.conversations.context) == (2, Context.DOCUMENT)


def test_a_run_without_personas_keeps_none_apart():
    found = settings("conversations.strategy=contextual")
    assert found.conversations.persona_in is PersonaIn.NONE and not found.conversations.needs_personas
    assert found.personas.dedup.scope is Scope.NONE


@pytest.mark.parametrize(
    ("overrides", "calls"),
    [
        ([], (3, 3)),
        (["conversations.strategy=math"], (1, 1)),
        (["conversations.strategy=math", "conversations.answer=false"], (1, 0)),
        (["conversations.strategy=npc"], (0, 1)),
        (["conversations.strategy=npc", "conversations.max_turns=2"], (1, 2)),
    ],
)
def test_the_calls_of_a_dialogue_are_known_beforehand(overrides, calls):
    assert settings(*overrides).conversations.calls == calls


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["conversations.strategy=maths"],
            "conversations.strategy must be one of persona, contextual, tools, instruction, math, reasoning, "
            "knowledge, npc, tool, or a template's path (.txt), got 'maths'",
        ),
        (
            ["conversations.answer=false"],
            "conversations has answer: false, but strategy persona is made of answers; leave it out",
        ),
        (
            ["conversations.strategy=contextual", "conversations.persona_in=both"],
            "conversations has persona_in: both, but strategy contextual puts no persona before the model; leave it "
            "out, or choose strategy persona",
        ),
        (
            ["documents.kind=persona", "conversations.strategy=contextual"],
            "conversations.persona_in is none, but with documents.kind: persona there is nothing else to start from; "
            "choose question, answer or both",
        ),
    ],
)
def test_a_strategy_that_cannot_be_is_named_with_the_way_out(overrides, said):
    assert refusal(*overrides) == said


@pytest.mark.parametrize("url", ["localhost:4318", "http://me:hidden@collector:4318", "http://collector/?token=hidden"])
def test_an_address_for_traces_that_is_none_or_holds_a_secret_is_refused(url):
    line = refusal(f"llm.traces={url}")
    assert line.startswith("llm.traces must ") and "hidden" not in line


def test_an_address_for_traces_is_taken_as_it_is():
    assert settings().llm.traces is None
    assert settings("llm.traces=http://collector:4318/").llm.traces == "http://collector:4318"
