"""The report of a run: one page that holds all it needs, made from the run's folder alone."""

from pipelines.report.writing import REPORT, report_page, write_report

__all__ = ["REPORT", "report_page", "write_report"]
