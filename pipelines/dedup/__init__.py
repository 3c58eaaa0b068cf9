"""Near-duplicates out of any JSONL or Parquet of texts: rows in, verdicts by the dedup service, rows out."""

from pipelines.dedup.flow import Job, dedup, summary

__all__ = ["Job", "dedup", "summary"]
