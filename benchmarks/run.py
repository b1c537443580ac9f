"""``make bench``: what is measured, as a table and as JSON.

    python benchmarks/run.py [NAME …] [--json FILE]

Figures of one machine at one time: compare within a run, not between runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import connect

Row = dict[str, Any]

#: Name to measurement; each gives rows of ``what``, ``value`` and ``expected``.
MEASUREMENTS: dict[str, Callable[[], Coroutine[Any, Any, list[Row]]]] = {
    "connect": connect.measure,
}


def main() -> None:
    """Run the measurements that were asked for, or all."""
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
    results = {
        name: asyncio.run(MEASUREMENTS[name]())
        for name in options.names or MEASUREMENTS
    }
    for name, rows in results.items():
        print(name)
        for row in rows:
            print(f"  {row['what']:<44} {row['value']:>10}   {row['expected']}")
    options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
