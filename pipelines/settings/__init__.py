"""The settings of a run, and the words in which a wrong one is refused."""

from pipelines.settings.audit import Audit
from pipelines.settings.bios import SAMPLES, Bios
from pipelines.settings.cluster import Cluster, Embedders, Place
from pipelines.settings.dedup import Dedup
from pipelines.settings.kept import kept_config, settings_of
from pipelines.settings.llm import EMBEDDED, Asked, EndpointSettings, Llm
from pipelines.settings.loading import load, parse
from pipelines.settings.quality import Quality, quality_rule
from pipelines.settings.run import Prompts, Settings, document_characters
from pipelines.settings.stop import Stop

__all__ = [
    "EMBEDDED",
    "SAMPLES",
    "Asked",
    "Audit",
    "Bios",
    "Cluster",
    "Dedup",
    "Embedders",
    "EndpointSettings",
    "Llm",
    "Place",
    "Prompts",
    "Quality",
    "Settings",
    "Stop",
    "document_characters",
    "kept_config",
    "load",
    "parse",
    "quality_rule",
    "settings_of",
]
