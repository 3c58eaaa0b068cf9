"""Finds the personas of documents, from a script."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

from rich.console import Console

from cluster.errors import Halt, UserError
from pipelines.api.documents import DocumentProvider, Documents, InMemoryDocumentProvider, provider_of
from pipelines.api.keys import ApiKey
from pipelines.api.results import Rows
from pipelines.api.running import Running
from pipelines.api.runs import Runs, Sections, whole
from pipelines.hooks import Hooks
from pipelines.settings import Settings

TARGET = 5  # personas of a document where nothing says how many are needed: one call


class PersonaGenerator:
    """Names who is likely to read, write, like or dislike each document, and then, layer by layer, who is close to
    these (Ge et al. 2024, arXiv:2406.20094). Parameters as of `ConversationGenerator`."""

    def __init__(
        self,
        api_key: ApiKey = None,
        model_name: str | None = None,
        base_url: str | None = None,
        *,
        run_dir: str | Path | None = None,
        cluster_address: str | None = None,
        settings: Mapping[str, Any] | None = None,
        progress: bool = True,
    ) -> None:
        self._runs = Runs(api_key, base_url, model_name, run_dir, cluster_address, settings or {}, progress)

    async def generate_from_documents(
        self,
        documents: Documents,
        max_docs: int | None = None,
        n_iterations: int | None = None,
        target_data_count: int | None = None,
        num_random_contexts: int = 1,
    ) -> Rows:
        """Personas of the first `max_docs` documents, which these keep from then on, and as rows.

        `n_iterations` (0…6) layers of relationships follow the first one: 5, 30, 155, 780 … personas a document. Left
        out, the depth comes closest to what each document owes: `target_context_usage_count` of the provider divided by
        `num_random_contexts`, or `target_data_count` divided by the documents. Documents of whom nobody was found are
        rows of `failures/`. Raises `UserError` before anything is paid, `Halt` when the run cannot go on.
        """
        return await self._begin(documents, max_docs, n_iterations, target_data_count, num_random_contexts).result()

    def generate_from_documents_sync(
        self,
        documents: Documents,
        max_docs: int | None = None,
        n_iterations: int | None = None,
        target_data_count: int | None = None,
        num_random_contexts: int = 1,
    ) -> Rows:
        """As `generate_from_documents`; works beside a running event loop too."""
        return self._begin(documents, max_docs, n_iterations, target_data_count, num_random_contexts).wait()

    async def generate_from_text(self, text: str) -> str:
        """One persona of a text. Raises `Halt` where nobody is found in it."""
        return await self._begin_one(text, {"personas": {"depth": 0}}, "text").result()

    def generate_from_text_sync(self, text: str) -> str:
        """As `generate_from_text`."""
        return self._begin_one(text, {"personas": {"depth": 0}}, "text").wait()

    async def generate_from_persona(self, persona: str) -> str:
        """One persona in close relationship with a persona. Raises `Halt` where nobody is found."""
        return await self._begin_one(persona, _RELATED, "persona").result()

    def generate_from_persona_sync(self, persona: str) -> str:
        """As `generate_from_persona`."""
        return self._begin_one(persona, _RELATED, "persona").wait()

    def _begin(
        self, documents: Documents, max_docs: int | None, depth: int | None, rows: int | None, together: int
    ) -> Running[Rows]:
        whole(max_docs, "max_docs")
        whole(rows, "target_data_count")
        whole(together, "num_random_contexts")
        provider = provider_of(documents)
        folder = self._runs.folder("personas")
        target = _target(provider, max_docs, rows, together) if depth is None else None
        asked = {
            "documents": provider.section(folder) | {"limit": max_docs},
            "personas": {"depth": "auto" if depth is None else depth, "target_per_document": target},
        }
        settings = self._runs.parsed(folder, asked)

        def work(settings: Settings, console: Console, hooks: Hooks) -> Rows:
            grow(settings, console, hooks)
            provider.run_dir = folder
            return Rows(folder, "personas")

        return self._runs.begin(settings, work, Hooks())

    def _begin_one(self, text: str, sections: Sections, what: str) -> Running[str]:
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"the {what} is empty; give it as a string")
        folder = tempfile.TemporaryDirectory(prefix="populace-one-")
        path = Path(folder.name)
        documents = InMemoryDocumentProvider([text]).section(path)
        few = {"per_call": 1, "refills": 0, "dedup": {"scope": "none"}}
        one = {"documents": documents | sections.get("documents", {}), "personas": few | sections["personas"]}
        settings = self._runs.parsed(path, one)

        def work(settings: Settings, console: Console, hooks: Hooks) -> str:
            with folder:
                grow(settings, Console(quiet=True), hooks)
                found = [row["text"] for row in Rows(path, "personas") if row["depth"] == settings.personas.depth]
                if not found:
                    raise Halt(f"nobody was found in the {what}{_why(path)}")
                return str(found[0])

        return self._runs.begin(settings, work, Hooks())


_RELATED: Sections = {"documents": {"kind": "persona"}, "personas": {"depth": 1}}


def grow(settings: Settings, console: Console, hooks: Hooks) -> None:
    """The first half of a run."""
    from pipelines.outputs import written_at_the_end
    from pipelines.run import Stages, run

    with written_at_the_end(settings, console):
        run(settings, console, "a script", Stages(conversations=False), hooks=hooks)


def _target(provider: DocumentProvider, max_docs: int | None, rows: int | None, together: int) -> int:
    if provider.target_context_usage_count is not None:
        return ceil(provider.target_context_usage_count / together)
    if rows is None:
        return TARGET
    documents = len(provider) if max_docs is None else min(max_docs, len(provider))
    return ceil(rows / max(1, documents))


def _why(folder: Path) -> str:
    """What `failures/` says, or nothing."""
    from pipelines.closing import first_row

    told = first_row(folder / "failures")
    return f" ({told['kind']}: {told['message'][:200]})" if told else ""
