"""``make bench``: run the benchmarks; print tables and write JSON.

    python benchmarks/run.py [NAME …] [--json FILE]

The figures are of one machine at one time: compare within a run, not between runs. If a
figure has a goal, the table has the must, the stretch goal and the verdict.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import capacity
import connect
import core_memory
import core_speed
import core_watching
import latency
import live
import page
import web

Row = dict[str, Any]

#: Name to measurement; each gives rows of ``what`` and ``value``, and ``expected``, or
#: ``id``, ``unit``, ``must``, ``stretch`` and ``verdict`` where there is a goal.
MEASUREMENTS: dict[str, Callable[[], list[Row] | Coroutine[Any, Any, list[Row]]]] = {
    "connect": connect.measure,
    "latency": latency.measure,
    "page": page.measure,
    "web": web.measure,
    "capacity": capacity.measure,
    "live": live.measure,
    "core-speed": core_speed.measure,
    "core-memory": core_memory.measure,
    "core-watching": core_watching.measure,
}


def main() -> None:
    """Run the given measurements, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS)
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=Path(__file__).with_name("results.json"),
        metavar="FILE",
    )
    options = parser.parse_args()
    if unknown := set(options.names) - set(MEASUREMENTS):
        parser.error(f"no measurement is called {', '.join(sorted(unknown))}")
    results = {name: _measure(name) for name in options.names or MEASUREMENTS}
    for name, rows in results.items():
        print(name)
        for row in rows:
            print(f"  {_line(row)}".rstrip())
    options.json.write_text(json.dumps(results, indent=2) + "\n")


def _measure(name: str) -> list[Row]:
    found = MEASUREMENTS[name]()
    return asyncio.run(found) if isinstance(found, Coroutine) else found


def _line(row: Row) -> str:
    """A row of the table, with its goal if any."""
    if "verdict" not in row:
        return f"{row['what']:<82} {row['value']:>10}   {row.get('expected', '')}"
    value = "-" if row["value"] is None else f"{row['value']:g} {row['unit']}"
    head = f"{row['id']:<4}{row['what']:<78} {value.replace(' x', 'x'):>10}"
    goal = f"must {row['must'] or '-':<10} stretch {row['stretch']:<10}"
    return f"{head}   {goal} {row['verdict']}"


if __name__ == "__main__":
    main()
