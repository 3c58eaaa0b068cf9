"""The strategies by the classes that name them: who asks, about what, and what the assistant has at hand.

Those here are the run's own ways, told by settings alone. A class derived from one of the bases, or from one of these,
that has a `generate` of its own, is sent along and asked in the callers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from actors.callbacks import BaseInstructionGeneratorCallback, BaseRespondentPromptModifierCallback, Callback
from cluster.errors import UserError
from cluster.files import write_atomically
from pipelines.api.documents import DocumentProvider, Documents, provider_of
from pipelines.api.keys import ApiKey


class OfDocuments(BaseInstructionGeneratorCallback):
    """What those about documents have in common. `api_key` joins the keys of the generator; `model_name` writes the
    user's messages, where that is another than the generator's."""

    def __init__(
        self,
        api_key: ApiKey = None,
        documents: Documents = (),
        model_name: str | None = None,
        num_random_contexts: int = 1,
    ) -> None:
        self.api_key, self.model_name = api_key, model_name
        self.documents: DocumentProvider = provider_of(documents)
        self.num_random_contexts = num_random_contexts

    def __getstate__(self) -> dict[str, Any]:
        """What callers need of it: neither keys nor documents."""
        return {name: value for name, value in vars(self).items() if name not in ("api_key", "documents")}


class ContextualInstructionGeneratorCallback(OfDocuments):
    """Somebody who is nobody in particular asks about a document. `num_random_contexts`: about so many at once."""


class PersonaInstructionGeneratorCallback(OfDocuments):
    """A persona of the document asks, in its voice. Personas that a `PersonaGenerator` has found are taken, others are
    grown first. Shallow ones come first while they last; then they are reused, upper layers more often."""

    uses_personas = True


class ToolCallingInstructionGeneratorCallback(PersonaInstructionGeneratorCallback):
    """A persona wants what the assistant can only do with `tools`: a list as OpenAI's API takes it, pydantic models
    (a function each, of the model's name and docstring), or the path of a JSON file.

    `functions`, by the tools' names or a list of them, are the tools; without, a model plays these.
    """

    def __init__(
        self,
        api_key: ApiKey = None,
        tools: Sequence[Mapping[str, Any] | type[BaseModel]] | str | Path = (),
        documents: Documents = (),
        model_name: str | None = None,
        num_random_contexts: int = 1,
        functions: Mapping[str, Callable[..., Any]] | Sequence[Callable[..., Any]] = (),
    ) -> None:
        super().__init__(api_key, documents, model_name, num_random_contexts)
        self.tools = tools
        named = functions if isinstance(functions, Mapping) else {one.__name__: one for one in functions}
        self.functions: dict[str, Callable[..., Any]] = dict(named)

    def path(self, run_dir: Path) -> str:
        """A file of the tools: theirs, or one that is written below `run_dir`."""
        if isinstance(self.tools, str | Path):
            return str(self.tools)
        if not self.tools:
            raise UserError("ToolCallingInstructionGeneratorCallback has no tools; give it a list of them")
        content = json.dumps([_listed(one) for one in self.tools], ensure_ascii=False, indent=1)
        name = f"tools-{hashlib.sha256(content.encode()).hexdigest()[:12]}.json"
        write_atomically(path := run_dir.absolute() / "given" / name, content)
        return str(path)


class WithContextRespondentPromptModifier(BaseRespondentPromptModifierCallback):
    """The assistant has the document that the dialogue is about."""


class WithRAGRespondentPromptModifier(BaseRespondentPromptModifierCallback):
    """The assistant is given, for each message of the user, the `top_k` passages that `retriever` finds: a function of
    `(query, top_k)` that brings texts or `{"id": …, "text": …}`, or an object with such a method `find`, or a dotted
    path `package.module:name`. Without, those of the run's documents that are nearest by their vectors."""

    def __init__(self, retriever: Callable[[str, int], Any] | Any | str | None = None, top_k: int = 4) -> None:
        self.retriever, self.top_k = retriever, top_k


def writes_itself(callback: Callback) -> bool:
    """Whether it has a `generate` of its own."""
    return type(callback).generate is not Callback.generate


def _listed(tool: Mapping[str, Any] | type[BaseModel]) -> Mapping[str, Any]:
    if isinstance(tool, type) and issubclass(tool, BaseModel):
        schema = tool.model_json_schema()
        described = schema.pop("description", "") or schema.get("title", "")
        function = {"name": tool.__name__, "description": described, "parameters": schema}
        return {"type": "function", "function": function}
    if not isinstance(tool, Mapping):
        raise UserError(f"a tool must be a mapping or a pydantic model, got {type(tool).__name__}")
    return tool
