"""The Python API: the classes of `from pipelines import …`, over the settings and flows of the commands."""

from actors.callbacks import BaseInstructionGeneratorCallback, BaseRespondentPromptModifierCallback
from actors.logic.dialogue.own import CallbackRequest
from actors.logic.persona import Persona
from cluster.errors import CallFailed, Halt, PopulaceError, UserError
from pipelines.api.callbacks import (
    ContextualInstructionGeneratorCallback,
    PersonaInstructionGeneratorCallback,
    ToolCallingInstructionGeneratorCallback,
    WithContextRespondentPromptModifier,
    WithRAGRespondentPromptModifier,
)
from pipelines.api.conversation_generator import AsyncConversationGenerator, ConversationGenerator
from pipelines.api.documents import (
    DatasetDocumentProvider,
    DirectoryDocumentProvider,
    Document,
    DocumentProvider,
    FileSystemDocumentProvider,
    InMemoryDocumentProvider,
    JSONLDocumentProvider,
    ParquetDocumentProvider,
)
from pipelines.api.keys import SmartKeyPool
from pipelines.api.persona_generator import PersonaGenerator
from pipelines.api.results import Rows
from pipelines.api.simulation import DatasetGenerator, DriaDataset, Model, PersonaBackstory, PersonaBio
from pipelines.api.stopping import (
    AndStoppingCallback,
    BaseStoppingCallback,
    BudgetStoppingCallback,
    ContextCoverageStoppingCallback,
    ErrorRateStoppingCallback,
    FixedNumberStoppingCallback,
    OrStoppingCallback,
    PersonaUsageStoppingCallback,
)
from pipelines.api.storage import BaseStorage, JSONLStorage, ParquetStorage
from pipelines.hooks import GenerationState

__all__ = [
    "AndStoppingCallback",
    "AsyncConversationGenerator",
    "BaseInstructionGeneratorCallback",
    "BaseRespondentPromptModifierCallback",
    "BaseStoppingCallback",
    "BaseStorage",
    "BudgetStoppingCallback",
    "CallFailed",
    "CallbackRequest",
    "ContextCoverageStoppingCallback",
    "ContextualInstructionGeneratorCallback",
    "ConversationGenerator",
    "DatasetDocumentProvider",
    "DatasetGenerator",
    "DirectoryDocumentProvider",
    "Document",
    "DocumentProvider",
    "DriaDataset",
    "ErrorRateStoppingCallback",
    "FileSystemDocumentProvider",
    "FixedNumberStoppingCallback",
    "GenerationState",
    "Halt",
    "InMemoryDocumentProvider",
    "JSONLDocumentProvider",
    "JSONLStorage",
    "Model",
    "OrStoppingCallback",
    "ParquetDocumentProvider",
    "ParquetStorage",
    "Persona",
    "PersonaBackstory",
    "PersonaBio",
    "PersonaGenerator",
    "PersonaInstructionGeneratorCallback",
    "PersonaUsageStoppingCallback",
    "PopulaceError",
    "Rows",
    "SmartKeyPool",
    "ToolCallingInstructionGeneratorCallback",
    "UserError",
    "WithContextRespondentPromptModifier",
    "WithRAGRespondentPromptModifier",
]
