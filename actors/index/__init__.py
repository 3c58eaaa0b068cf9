"""The index of the dedup service: a log on disk, a hash table of forms, and vectors in tiers that rise as it grows."""

from actors.index.persona_index import PersonaIndex
from actors.index.tiers import Tiers

__all__ = ["PersonaIndex", "Tiers"]
