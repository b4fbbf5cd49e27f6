"""Records as what people read: one rendering for the command line, the REST API, the dashboard and the README.

Tables need no torch (`cifs.report.tables`); a model card is written by `cifs.report.card`.
"""

from cifs.report.groups import group_name, groups
from cifs.report.remarks import beside, remark, remarks, source
from cifs.report.tables import (
    FORMATS,
    Format,
    PrintedCell,
    PrintedRow,
    PrintedTable,
    brief,
    printed,
    printed_csv,
    printed_paper,
    table_of,
    to_csv,
    to_html,
    to_latex,
    to_markdown,
)

__all__ = [
    "FORMATS",
    "Format",
    "PrintedCell",
    "PrintedRow",
    "PrintedTable",
    "beside",
    "brief",
    "group_name",
    "groups",
    "printed",
    "printed_csv",
    "printed_paper",
    "remark",
    "remarks",
    "source",
    "table_of",
    "to_csv",
    "to_html",
    "to_latex",
    "to_markdown",
]
