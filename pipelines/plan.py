"""What a run would take, from counted documents and stated assumptions; or, with a pilot, from a few real ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import islice

from rich.console import Console
from rich.table import Table
from rich.text import Text

from actors.logic.depth import pool_size
from actors.logic.dialogue import Context
from actors.logic.document import Document
from actors.logic.footprint import Footprint, footprint
from actors.logic.near_duplicates import Scope
from actors.prompts import load as load_prompt
from cluster.batch import SHARE_OF_PRICE
from cluster.chat import Role
from cluster.errors import UserError
from pipelines.audit_reference import read_references
from pipelines.batching import batches_dialogues, batches_personas, unbatched
from pipelines.growth_rule import growth_rule
from pipelines.plan_tools import CALL_TOKENS, RESULT_TOKENS, tool_cost
from pipelines.settings import Dedup, Llm, Settings, document_characters, quality_rule
from pipelines.sources import (
    Split,
    check_fields,
    check_generated,
    count_documents,
    find_files,
    marked,
    plan_splits,
    read_split,
)
from pipelines.talking import dialogue_rule, writes_manner

_SAMPLE = 200  # documents whose length is measured
_CHARACTERS_PER_TOKEN = 4
_PERSONA_TOKENS, _MESSAGE_TOKENS, _ANSWER_TOKENS = 45, 40, 200
_GROUPS_TOKENS, _JUDGED_TOKENS = 780, 80  # an audit's groups in words and as a schema, and an answer of it
_RATING_TOKENS = 250  # of a judge: four scores with their reasons
_TOKENS_PER_S = 60  # of one stream of an ordinary endpoint
_BASE_MB, _CALLER_MB = 1_500, 150


@dataclass(frozen=True, slots=True)
class Plan:
    """Figures of a run. `cost_usd` is None where an endpoint has no price; `basis` says what they rest on."""

    documents: int
    depth: int
    personas_per_document: int
    personas: int
    conversations: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    seconds: int
    memory_mb: int
    index_disk_mb: int
    characters_per_document: int
    basis: str
    budget_usd: float | None = None
    prices: tuple[str, ...] = ()
    batch_calls: int = 0


def estimate(settings: Settings) -> Plan:
    """The plan from the documents alone; starts nothing, calls nobody. `UserError` where there are none."""
    read_references(settings.audit.reference)
    splits = _splits(settings)
    limit = settings.documents.limit
    documents = count_documents(splits, stop_at=limit)
    documents = min(documents, limit or documents)
    lengths = [len(one.text) for one in islice(_documents(settings, splits), _SAMPLE)]
    if not documents or not lengths:
        raise UserError(f"documents.path: no readable document in {', '.join(settings.documents.path)}")
    return _figures(settings, documents, sum(lengths) // len(lengths))


def _splits(settings: Settings) -> list[Split]:
    files = marked(find_files(settings.documents.path))
    if settings.documents.generated == "refuse":
        check_generated(files, settings.documents.generated)
    check_fields(files, settings.documents.text_field, settings.documents.id_field)
    return plan_splits(files)


def _documents(settings: Settings, splits: list[Split]) -> Iterator[Document]:
    chosen = settings.documents
    most = document_characters(settings, [one.context_tokens for one in settings.llm.endpoints if one.context_tokens])
    for split in splits:
        for one in read_split(split, chosen.text_field, chosen.id_field, most, chosen.kind):
            if isinstance(one, Document):
                yield one


def _figures(settings: Settings, documents: int, characters: int) -> Plan:
    talk = settings.conversations
    rule = growth_rule(settings, documents)
    dialogue_rule(settings)
    quality_rule(settings.conversations)
    given, depth = rule.given, rule.depth
    pool = pool_size(depth, rule.per_call, given)
    per_call = 1 if rule.one_per_request else rule.per_call
    persona_calls = (pool - given) // per_call * documents + -(-settings.personas.baseline // per_call)
    tools = tool_cost(settings)
    asks, steps = (calls * talk.count for calls in talk.calls)
    called, played = tools.calls * steps, tools.played * steps
    answers = steps + called
    asks += writes_manner(settings)
    read = characters // _CHARACTERS_PER_TOKEN
    text, persona = 0 if given else read, read if given and depth == 0 else _PERSONA_TOKENS
    first = int(given)  # the layer that is asked for first
    template = _tokens("persona_to_persona" if given else "text_to_persona")
    asked = template + (read if depth == first else _PERSONA_TOKENS)
    said = _MESSAGE_TOKENS + _ANSWER_TOKENS
    history = sum(exchange * said for exchange in range(talk.max_turns)) / talk.max_turns
    correspondent = _tokens("correspondent") + persona + text * talk.num_random_contexts + history
    respondent = _MESSAGE_TOKENS + _context(settings, text) + history
    respondent += tools.listed_tokens + tools.calls * (CALL_TOKENS + RESULT_TOKENS) / 2
    audit_calls = min(settings.audit.sample, pool * documents) if settings.audit.judge else 0
    judge_calls = talk.count * talk.candidates if talk.is_judged else 0
    tokens = {
        Role.PERSONA: (persona_calls * asked, persona_calls * per_call * _PERSONA_TOKENS),
        Role.CORRESPONDENT: (asks * correspondent, asks * _MESSAGE_TOKENS),
        Role.RESPONDENT: (answers * respondent, steps * _ANSWER_TOKENS + called * CALL_TOKENS),
    }
    if played:
        tokens[Role.TOOL] = (played * (tools.played_tokens + text * talk.num_random_contexts), played * RESULT_TOKENS)
    if audit_calls or judge_calls:
        described = _tokens("audit_judge") + _GROUPS_TOKENS + _PERSONA_TOKENS
        read_by_judge = _tokens("judge") + _tokens("judge_rubric") + persona + _context(settings, text)
        read_by_judge += talk.max_turns * said
        tokens[Role.JUDGE] = (
            audit_calls * described + judge_calls * read_by_judge,
            audit_calls * _JUDGED_TOKENS + judge_calls * _RATING_TOKENS,
        )
    prompt, written = (sum(counts) for counts in zip(*tokens.values(), strict=True))
    index = _index(settings.personas.dedup, pool * documents)
    streams = sum(one.max_concurrency * max(1, len(one.keys)) for one in settings.llm.endpoints[:1])
    return Plan(
        documents=documents,
        depth=depth,
        personas_per_document=pool,
        personas=pool * documents,
        conversations=talk.count,
        calls=persona_calls + asks + answers + played + judge_calls + audit_calls,
        prompt_tokens=int(prompt),
        completion_tokens=int(written),
        cost_usd=_cost(settings, tokens),
        seconds=int(written / (_TOKENS_PER_S * streams)) + 15,
        memory_mb=_BASE_MB + settings.cluster.callers.max * _CALLER_MB + index.memory // 2**20,
        index_disk_mb=index.disk // 2**20,
        characters_per_document=characters,
        budget_usd=settings.llm.budget_usd,
        prices=tuple(settings.llm.listed()),
        batch_calls=persona_calls * batches_personas(settings) + (asks + answers) * batches_dialogues(settings),
        basis=f"{_TOKENS_PER_S} tokens/s a stream, {streams} streams, {_ANSWER_TOKENS} tokens an answer"
        f"{tools.basis} (assumed){_first_time(settings)}",
    )


def _context(settings: Settings, text: int) -> int:
    """Tokens of what the respondent has to read, beside what was said, in the middle of a dialogue."""
    talk = settings.conversations
    match talk.context:
        case Context.NONE:
            return 0
        case Context.DOCUMENT:
            return text * talk.num_random_contexts
        case Context.RAG:
            return talk.rag.top_k * talk.rag.characters * (talk.max_turns + 1) // 2 // _CHARACTERS_PER_TOKEN


def _first_time(settings: Settings) -> str:
    """What a judge may add."""
    talk = settings.conversations
    if not talk.is_judged or not talk.threshold:
        return ""
    again = f"up to {talk.max_attempts} × where the judge has them made again" if talk.auto_improve else "more if not"
    return f"; every dialogue is good enough at once, {again}"


def _index(dedup: Dedup, personas: int) -> Footprint:
    if dedup.scope is not Scope.CORPUS:
        return Footprint(0, 0)
    return footprint(personas, shards=dedup.shards, minhash=dedup.minhash is not None)


def _cost(settings: Settings, tokens: Mapping[Role, tuple[float, float]]) -> float | None:
    """USD at the first endpoint, of prompt and completion tokens by role; None where a role's model has no price."""
    full = _full_cost(settings.llm, tokens)
    return None if full is None else round(sum(full[role] * _share(settings, role) for role in full), 4)


def _full_cost(llm: Llm, tokens: Mapping[Role, tuple[float, float]]) -> dict[Role, float] | None:
    """By role, as it would be online."""
    endpoint, costs = llm.endpoints[0], dict[Role, float]()
    for role, (prompt, written) in tokens.items():
        if (known := endpoint.price_of(llm.roles.get(role.value, endpoint.model))) is None:
            return None
        costs[role] = known.price.cost(int(prompt), int(written))
    return costs


def _share(settings: Settings, role: Role) -> float:
    if role is Role.JUDGE:
        return 1.0
    batched = batches_personas(settings) if role is Role.PERSONA else batches_dialogues(settings)
    return SHARE_OF_PRICE if batched else 1.0


def _tokens(prompt: str) -> int:
    return len(load_prompt(prompt).text) // _CHARACTERS_PER_TOKEN


def pilot(settings: Settings, console: Console, documents: int) -> Plan:
    """The plan with calls, tokens, cost and time as `documents` real documents took them."""
    from pipelines.closing import metrics
    from pipelines.preview import trial

    rough = estimate(settings)
    tried = min(documents, rough.documents)
    rows = -(-settings.conversations.count * tried // rough.documents)
    fixed = {
        "personas": settings.personas.model_copy(update={"depth": rough.depth}),
        "audit": settings.audit.model_copy(update={"sample": -(-settings.audit.sample * tried // rough.documents)}),
    }
    with trial(settings.model_copy(update=fixed), tried, rows, console) as folder:
        found = metrics(folder)
    grown = rough.documents / max(1, found["documents"])
    online = estimate(unbatched(settings)).cost_usd
    discount = rough.cost_usd / online if rough.cost_usd and online else 1.0  # the pilot itself is made online
    cost = None if found["cost_usd"] is None else found["cost_usd"] * discount
    values = asdict(rough) | {
        "personas": int(found["personas"] * grown),
        "calls": int(found["calls"] * grown),
        "prompt_tokens": int(found["prompt_tokens"] * grown),
        "completion_tokens": int(found["completion_tokens"] * grown),
        "cost_usd": None if cost is None else round(cost * grown, 4),
        "seconds": int(rough.seconds * found["completion_tokens"] * grown / rough.completion_tokens),
        "basis": f"a pilot of {found['documents']} documents and {found['conversations']} conversations",
    }
    return Plan(**values)


def show(settings: Settings, console: Console, pilot_documents: int | None, as_json: bool) -> None:
    """Print the plan, as a table or as one JSON object."""
    if pilot_documents:
        quiet = Console(stderr=True)
        plan = pilot(settings, quiet, pilot_documents)
    else:
        plan = estimate(settings)
    if as_json:
        console.print_json(json.dumps(asdict(plan)))
        return
    table = Table.grid(padding=(0, 2))
    for name, value in _rows(plan):
        table.add_row(Text(name, style="bold"), Text(value))
    console.print(table)


def _rows(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "documents", f"{plan.documents:,}, {plan.characters_per_document:,} characters on average"
    yield "depth", f"{plan.depth} ({plan.personas_per_document:,} personas a document)"
    yield "personas", f"{plan.personas:,} at most"
    yield "conversations", f"{plan.conversations:,}"
    yield "model calls", f"{plan.calls:,}"
    yield "tokens", f"{plan.prompt_tokens:,} prompt + {plan.completion_tokens:,} completion"
    yield "cost", "unknown: llm.endpoints[0].price is not set" if plan.cost_usd is None else f"${plan.cost_usd:,.2f}"
    for line in plan.prices:
        yield "", line
    if plan.batch_calls:
        yield "batches", f"{plan.batch_calls:,} of the calls, at half the price; each batch takes up to 24 hours"
    if plan.budget_usd is not None and (plan.cost_usd or 0.0) > plan.budget_usd:
        yield "budget", f"${plan.budget_usd:,.10g}, less than that: the run would stop there; raise llm.budget_usd"
    beside = ", and what the batches take" if plan.batch_calls else ""
    yield "time", f"about {timedelta(seconds=plan.seconds)} (h:mm:ss){beside}"
    yield "memory", f"about {plan.memory_mb:,} MB over all processes"
    if plan.index_disk_mb:
        yield "disk", f"about {plan.index_disk_mb:,} MB for the index that keeps near-duplicates out"
    yield "basis", plan.basis
