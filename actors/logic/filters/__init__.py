"""What keeps a text out that is no persona of its document: eight named refusals, none of which asks a model."""

from actors.logic.filters.filters import Fault, Filters, Grounds

__all__ = ["Fault", "Filters", "Grounds"]
