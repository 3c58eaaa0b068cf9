"""A run from its settings to its dataset: what `populace run`, `personas`, `converse` and `demo` have in common."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from actors.logic.document import DocumentKind
from actors.logic.filters import Fault
from actors.logic.growth import NOBODY, GrowthRule
from actors.logic.near_duplicates import ADMITTED, WANTED, Reason
from actors.logic.persona_call import PersonaCall
from cluster.errors import Halt, UserError
from cluster.job import address_of
from cluster.keys import Endpoint
from cluster.manifest import Manifest
from cluster.spending import worst_cost
from cluster.tracing import check_installed
from pipelines.audit_reference import is_outdated, read_references
from pipelines.batching import check_batches, check_under_way, warnings
from pipelines.endpoints import embedding_endpoint, endpoints
from pipelines.growth_rule import growth_rule
from pipelines.hooks import Control, Hooks
from pipelines.joined import check_cluster, check_job
from pipelines.more_documents import note_files, reopen
from pipelines.preflight import check
from pipelines.quality import quality_totals
from pipelines.reuse import take_personas
from pipelines.run_folder import open_run
from pipelines.settings import Settings, document_characters, quality_rule
from pipelines.sources import Split, check_fields, check_generated, count_documents, find_files, marked, plan_splits
from pipelines.sources.files import SourceFile
from pipelines.stopping import Enough, is_enough
from pipelines.talking import dialogue_rule

if TYPE_CHECKING:
    from pipelines.progress import RunView
    from pipelines.services import Services

log = logging.getLogger(__name__)

_COUNTED = 100_000  # documents; beyond these the depth is settled and the rest need not be counted


@dataclass(frozen=True, slots=True)
class Stages:
    """The halves of a run that a command makes."""

    personas: bool = True
    conversations: bool = True


def run(
    settings: Settings,
    console: Console,
    command: str = "populace run",
    stages: Stages | None = None,
    fresh: bool = False,
    hooks: Hooks | None = None,
) -> Manifest:
    """Go on with the run in `settings.run_dir`, or begin it; returns its manifest.

    `UserError` before anything is paid, `Halt` when it ends with work undone; either way the folder is left so that the
    same call goes on from there.
    """
    stages, hooks = stages or Stages(), hooks or Hooks()
    read_references(settings.audit.reference)
    if stages.conversations:
        dialogue_rule(settings)
        quality_rule(settings.conversations)
    with open_run(settings, command, fresh, hooks.names) as manifest:
        if hooks.opened:
            hooks.opened()
        take_personas(settings, manifest)
        files = reopen(settings, manifest) if stages.personas else None
        _check_somebody(settings, manifest)
        if not _left(settings, manifest, stages) and not is_outdated(settings, manifest):
            console.print(f"{settings.run_dir} is finished: nothing to do", highlight=False, soft_wrap=True)
            return manifest
        if stages.conversations and not stages.personas and not manifest.personas.done:
            raise UserError(
                f"{settings.run_dir} has no finished personas; run `populace personas` or `populace run` first"
            )
        targets = endpoints(settings)
        contexts = check_endpoints(settings, console, targets)
        if (embeds := embedding_endpoint(settings.personas.dedup)) and stages.personas and not manifest.personas.done:
            check([embeds])
        splits = _documents(settings, console, manifest, contexts, files)
        if stages.personas and not manifest.personas.done:
            _pays_for_a_call(settings, GrowthRule.of(manifest.facts["growth"]), targets)
        manifest.save()
        try:
            _make(settings, console, manifest, stages, splits, hooks)
        except Enough as enough:
            console.print(f"stopped: {enough}", highlight=False, soft_wrap=True)
    return manifest


def _check_somebody(settings: Settings, manifest: Manifest) -> None:
    """`Halt` where all documents were asked about and nobody was found."""
    if settings.conversations.needs_personas and manifest.personas.done and not manifest.personas.total("personas"):
        raise Halt("no document has a persona; see failures/ for why, and start over with --fresh")


def check_endpoints(settings: Settings, console: Console, targets: list[Endpoint]) -> list[int]:
    """Ask the endpoints and tell of what the run will do without, and of prices; returns the context windows that were
    told, in tokens. `UserError` where nobody can serve."""
    if settings.llm.traces:
        check_installed()
    check_under_way(settings)
    check_job(settings, targets)
    report = check(targets)
    check_batches(targets)
    for warning in [*report.warnings, *warnings(settings)]:
        console.print(f"[yellow]warning[/] {warning}", highlight=False, soft_wrap=True)
    for line in settings.llm.listed(settings.named_models):
        console.print(line, highlight=False, soft_wrap=True)
    return report.contexts


def _left(settings: Settings, manifest: Manifest, stages: Stages) -> bool:
    if stages.personas and not manifest.personas.done:
        return True
    if not stages.conversations or is_enough(settings.conversations.stop, manifest.facts):
        return False
    talks = manifest.conversations
    is_closed = talks.done or not manifest.laps or not manifest.laps[-1].done  # else it was killed on its last steps
    return talks.total("rows") < settings.conversations.count or not is_closed


def _pays_for_a_call(settings: Settings, rule: GrowthRule, targets: list[Endpoint]) -> None:
    """`UserError` where the budget is less than the cheapest persona call may cost: about a text without words.

    Given personas that are to have no relations need no such call, and a run without personas neither.
    """
    if rule.depth == NOBODY or (rule.given and not rule.depth):
        return
    budget, parent = settings.llm.budget_usd, "given" if rule.given else None
    call = PersonaCall("", parent, 0, "", rule.per_call, rule.granularity, rule.seed, rule.one_per_request)
    least = worst_cost(call.first_request(), targets)
    if budget is not None and budget < least:
        raise UserError(f"llm.budget_usd is ${budget:,.10g}, but one call may cost ${least:,.6f} or more; raise it")


def _documents(
    settings: Settings, console: Console, manifest: Manifest, told: list[int], found: list[SourceFile] | None
) -> list[Any]:
    """The documents as splits, counted once, of the files that were found if they were looked for; none where they have
    all become personas."""
    if manifest.personas.done:
        return []
    chosen = settings.documents
    files = found or find_files(chosen.path)
    note_files(settings, manifest, files)
    files = marked(files)
    check_fields(files, chosen.text_field, chosen.id_field)
    if warning := check_generated(files, chosen.generated):
        console.print(f"[yellow]warning[/] {warning}", highlight=False, soft_wrap=True)
    splits = plan_splits(files)
    if "growth" not in manifest.facts or "documents_counted" not in manifest.facts:
        enough = max(_COUNTED, settings.conversations.count)
        counted = count_documents(splits, stop_at=min(enough, chosen.limit or enough))
        manifest.facts["documents_counted"] = counted if counted < enough else None
    if "growth" not in manifest.facts:
        if not counted:
            raise UserError(f"documents.path: no document in {', '.join(chosen.path)}")
        contexts = [one.context_tokens for one in settings.llm.endpoints if one.context_tokens]
        manifest.facts["document_characters"] = document_characters(settings, contexts or told)
        manifest.facts["growth"] = asdict(growth_rule(settings, counted))
    return splits


def _make(
    settings: Settings, console: Console, manifest: Manifest, stages: Stages, splits: list[Any], hooks: Hooks
) -> None:
    from pipelines.audit import audit_personas
    from pipelines.conversation_flow import converse
    from pipelines.diversity import measure_diversity
    from pipelines.persona_flow import grow_personas

    with at_work(settings, console, manifest, splits, hooks.control) as (actors, view):
        if stages.personas and not manifest.personas.done:
            grow_personas(settings, manifest, actors, splits, view)
            _check_somebody(settings, manifest)
        if manifest.personas.done:
            measure_diversity(settings, manifest, actors, view, console)
            audit_personas(settings, manifest, actors, view, console)
        if stages.conversations:
            converse(settings, manifest, actors, view, hooks)


@contextmanager
def at_work(
    settings: Settings,
    console: Console,
    manifest: Manifest,
    splits: Sequence[Split] = (),
    control: Control | None = None,
) -> Iterator[tuple[Services, RunView]]:
    """Ray, the run's actors and the view of its progress, for as long as the block lasts; the manifest and the ledger
    are written however it ends. On a cluster, every node has to see the run's folder, and files of `splits`."""
    from cluster.journal import prepare
    from cluster.local_copies import scratch
    from cluster.run_log import run_log
    from cluster.session import native_noise, session
    from pipelines.ledger import Ledger
    from pipelines.progress import RunView
    from pipelines.services import callers_at_first, services

    folder = settings.folder
    prepare(folder / "journal", manifest.run_id)
    ledger = Ledger(folder / "metrics.json", priced=not settings.llm.unpriced(settings.named_models))
    ledger.write()  # how the last session ended says nothing of this one
    ending = "interrupted"
    with ExitStack() as stack:
        stack.enter_context(run_log(folder, manifest.run_id, "driver"))
        with console.status("starting Ray and the models …") if console.is_terminal else nullcontext():
            stack.enter_context(native_noise(scratch(folder) / "ray.log"))
            stack.enter_context(session(settings.cluster.address))
            if address_of(settings.cluster.address):
                check_cluster(settings, splits, callers_at_first(settings), console)
            actors = stack.enter_context(services(settings, folder, manifest.run_id, ledger.spent_before))
            stack.enter_context((control or Control()).of(actors))
        for name in actors.embedded_models:
            console.print(f"model: {name}, embedded on this machine", highlight=False, soft_wrap=True)
        try:
            seen = RunView(console, actors.links.meter.handle(), ledger, settings.llm.budget_usd, actors.key_states)
            with seen as view, actors.counted_to_the_end():
                yield actors, view
            ending = "finished"
        except Halt as halt:
            ending = f"stopped: {halt}"
            raise
        finally:
            manifest.save()
            ledger.write(ending=ending, **totals(manifest))


def totals(manifest: Manifest) -> dict[str, Any]:
    """Counts of what the run has made, from the manifest."""
    facts = manifest.facts
    return {
        "documents_kind": manifest.settings.get("documents.kind", DocumentKind.TEXT.value),
        "documents": manifest.personas.total("documents"),
        "documents_with_personas": manifest.personas.total("active"),
        "documents_unreadable": facts.get("documents_unreadable", 0),
        "documents_repeated": facts.get("documents_repeated", 0),
        "documents_truncated": manifest.personas.total("truncated"),
        "documents_generated": manifest.personas.total("generated"),
        "characters": manifest.personas.total("characters"),
        "characters_generated": manifest.personas.total("characters_generated"),
        "depth": facts.get("growth", {}).get("depth"),
        "personas": manifest.personas.total("personas"),
        "rejected": manifest.personas.total("rejected"),
        "funnel": funnel(manifest),
        "diversity": facts.get("diversity"),
        "audit": facts.get("audit"),
        "conversations": manifest.conversations.total("rows"),
        "quality": quality_totals(manifest),
        "bios": manifest.bios.total("rows"),
        "failures": sum(
            stage.total("failures") for stage in (manifest.personas, manifest.conversations, manifest.bios)
        ),
    }


def funnel(manifest: Manifest) -> list[dict[str, int]]:
    """For each depth how many personas were wanted, how many candidates there were, how many each filter and stage
    refused, and how many were admitted."""
    rows: list[dict[str, int]] = []
    for depth in range(1 + (manifest.facts.get("growth", {}).get("depth") or 0)):
        stages = (*map(str, Fault), *map(str, Reason), ADMITTED)
        counts = {stage: manifest.personas.total(f"{depth} {stage}") for stage in stages}
        wanted = manifest.personas.total(f"{depth} {WANTED}")
        rows.append({"depth": depth, "wanted": wanted, "candidates": sum(counts.values()), **counts})
    return rows
