"""The tables ``[list.NAME]``: which files hold the named lists.

Not here: what is in those files (policy.lists, listfiles). Invariant: each table yields
one `ListFile`, or a problem with its line.
"""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import structs

from portway.config.decode import decode_fields, read_table, refuse_others
from portway.config.locate import Path
from portway.config.report import Report, quoted
from portway.config.schema import ListFile

_NAME = re.compile(r"[A-Za-z0-9_-]+")  # it is written as one word, "@NAME", in rules
_FIELDS = [
    field for field in structs.fields(ListFile) if field.name not in {"name", "where"}
]


def decode_lists(document: dict[str, Any], report: Report) -> Iterator[ListFile]:
    """Yield the lists that *document* names, those that are right."""
    tables = read_table(document.get("list", {}), ("list",), report)
    for name, value in (tables or {}).items():
        path: Path = ("list", name)
        table = read_table(value, path, report)
        if table is None:
            continue
        if not _NAME.fullmatch(name):
            text = f"{quoted(name)} is no name for a list: use letters, digits, - and _"
            report.wrong(path, text)
        refuse_others(table, [one.encode_name for one in _FIELDS], path, report)
        found = decode_fields(_FIELDS, table, path, report)
        if "path" not in found:
            continue
        where = (*path, "path")
        if not found["path"].strip():
            report.wrong(where, "is empty; name the file that holds the list")
            continue
        yield ListFile(name=name, where=report.where(where), **found)
