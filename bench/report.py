"""Tables for people, JSON for programs, and docs/benchmarks.md.

Not here: measuring. Invariant: all three show the same figures.
"""

import json
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from bench.results import Report, Target

KIB_A_GIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Setting:
    """What was measured on; *versions* by name; *date* as it was given."""

    date: str
    machine: str
    versions: dict[str, str]
    quick: bool


def machine() -> str:
    """Return this machine in one line: processor, cores, memory, kernel, Python."""
    cpu = memory = ""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("MemTotal"):
            memory = f"{int(line.split()[1]) / KIB_A_GIB:.0f} GiB"
    cores = len([1 for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*")])
    found = re.match(r"\d+\.\d+", platform.release())
    kernel = found.group() if found else "unknown"
    python = platform.python_version()
    return f"{cpu}, {cores} cores, {memory}, Linux {kernel}, Python {python}"


def number(figure: float | None) -> str:
    """Return *figure* with about three digits that matter; a dash for None."""
    if figure is None:
        return "-"
    if abs(figure) >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if abs(figure) >= 10 else f"{figure:.2f}"


def _with_unit(figure: float, unit: str) -> str:
    return f"{figure:.3f}x" if unit == "x" else f"{number(figure)} {unit}".rstrip()


def _bound(target: Target) -> str:
    sign = ">=" if target.at_least else "<="
    return f"{sign} {_with_unit(target.bound, target.unit)}"


def _found(target: Target) -> str:
    if target.figure is None:
        return f"- ({target.why})" if target.why else "-"
    return _with_unit(target.figure, target.unit)


def target_rows(targets: list[Target]) -> list[list[str]]:
    """Return one row of words for each target."""
    return [
        [item.number, item.what, _bound(item), _found(item), item.verdict]
        for item in targets
    ]


TARGET_HEAD = ["#", "target", "bound", "measured", ""]


def _figure_rows(report: Report) -> list[list[str]]:
    return [[name, *map(number, figures)] for name, figures in report.rows]


def _aligned(head: list[str], rows: list[list[str]], words: int) -> list[str]:
    """Return lines; the first *words* columns are text, the others numbers."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if index < words else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return lines


def as_text(report: Report) -> str:
    """Return the report as a person reads it in a terminal."""
    lines = ["", report.title, ""]
    lines += _aligned(["", *report.columns], _figure_rows(report), words=1)
    if report.targets:
        lines += ["", *_aligned(TARGET_HEAD, target_rows(report.targets), words=5)]
    lines += [f"  {note}" for note in report.notes]
    return "\n".join(lines)


def as_json(setting: Setting, reports: dict[str, Report]) -> str:
    """Return all reports as one JSON object."""
    scenarios = {
        name: {
            "title": report.title,
            "rows": {
                row: dict(zip(report.columns, figures, strict=True))
                for row, figures in report.rows
            },
            "targets": [
                {
                    "number": target.number,
                    "what": target.what,
                    "figure": target.figure,
                    "bound": target.bound,
                    "unit": target.unit,
                    "at_least": target.at_least,
                    "met": target.met,
                }
                for target in report.targets
            ],
            "notes": report.notes,
        }
        for name, report in reports.items()
    }
    whole = {
        "date": setting.date,
        "machine": setting.machine,
        "versions": setting.versions,
        "quick": setting.quick,
        "scenarios": scenarios,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _markdown(head: list[str], rows: list[list[str]], words: int) -> list[str]:
    rule = ["---" if index < words else "---:" for index in range(len(head))]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def as_markdown(setting: Setting, reports: dict[str, Report]) -> str:
    """Return docs/benchmarks.md."""
    versions = ", ".join(f"{name} {text}" for name, text in setting.versions.items())
    targets = [target for report in reports.values() for target in report.targets]
    met = sum(target.met is True for target in targets)
    missed = sum(target.met is False for target in targets)
    unmeasured = len(targets) - met - missed
    lines = [
        "# Benchmarks",
        "",
        "The last full run of `make bench`. Its figures mean something only beside",
        "each other: all of a table are of the same run, in turns, and medians. How it",
        "is measured: [bench/README.md](../bench/README.md).",
        "",
        f"- Date: {setting.date}{' (a quick run)' if setting.quick else ''}",
        f"- Machine: {setting.machine}",
        f"- Versions: {versions}",
        f"- Targets: {met} met, {missed} missed, {unmeasured} not measured",
        "",
        "## Targets",
        "",
        *_markdown(TARGET_HEAD, target_rows(targets), words=5),
    ]
    for report in reports.values():
        lines += ["", f"## {' '.join(report.title.split())}", ""]
        lines += _markdown(["", *report.columns], _figure_rows(report), words=1)
        for note in report.notes:
            lines += ["", note]
    return "\n".join(lines) + "\n"
