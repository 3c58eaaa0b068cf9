"""Documents from files: found, split, counted, checked and read; `document_stream` spreads that over Ray Data."""

from pipelines.sources.fields import check_fields, peek
from pipelines.sources.files import find_files
from pipelines.sources.generated import check_generated, marked
from pipelines.sources.reading import read_split
from pipelines.sources.splits import Split, count_documents, plan_splits

__all__ = [
    "Split",
    "check_fields",
    "check_generated",
    "count_documents",
    "find_files",
    "marked",
    "peek",
    "plan_splits",
    "read_split",
]
