"""A run's conversations in the formats that others train from: committed parts in, one file a split out."""

from pipelines.export.flow import Exported, export, show
from pipelines.export.job import FileKind, Job, asked

__all__ = ["Exported", "FileKind", "Job", "asked", "export", "show"]
