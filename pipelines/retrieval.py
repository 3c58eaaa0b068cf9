"""Who finds passages for the assistant of a run: its own documents' retriever, started here, or the user's."""

from __future__ import annotations

from actors.logic.dialogue import Context
from actors.logic.retrieval import OwnRetriever
from actors.logic.retrieval import Retriever as Finds
from actors.retriever import Retriever, RunRetriever
from cluster.manifest import Manifest
from pipelines.crew import LASTING
from pipelines.services import Services
from pipelines.settings import Settings


def retriever(settings: Settings, manifest: Manifest, services: Services, given: Finds | None = None) -> Finds | None:
    """Who is asked, `given` or not, None where the context is another; the run's own once all passages have vectors."""
    talk = settings.conversations
    if talk.context is not Context.RAG:
        return None
    if given:
        return given
    if talk.rag.retriever:
        return OwnRetriever(talk.rag.retriever, talk.rag.top_k, talk.rag.timeout_s)
    parts, folder = sorted(manifest.personas.parts), str(settings.folder)
    arguments = (folder, parts, talk.rag.characters, services.links.embedders)
    actor = services.crew.start("retriever", Retriever, *arguments, num_cpus=0.25, **LASTING)
    services.crew.wait((actor, "size"))
    return RunRetriever(actor, talk.rag.top_k)
