"""One self-contained HTML page that shows how good systems are, and what they saw."""

from featad.report.batch import summarize_batch
from featad.report.locating import locate
from featad.report.nearest import NearestNormal
from featad.report.page import to_html, write_report
from featad.report.summary import SCHEMA, summarize, to_csv, to_json

__all__ = [
    "SCHEMA",
    "NearestNormal",
    "locate",
    "summarize",
    "summarize_batch",
    "to_csv",
    "to_html",
    "to_json",
    "write_report",
]
