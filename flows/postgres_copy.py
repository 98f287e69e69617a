"""Load a source file into PostgreSQL with COPY, as quickly as ``psql`` does.

PostgreSQL parses the file itself, so this is safe only where its parsers and the row-wise
reader of `flows.sources` agree. Three things see to that: a look at the bytes on their way,
COPY's own refusals, and one query over the loaded rows. Whatever one of them finds, the file
is left to the row-wise reader, which accepts it or says what is wrong with it.
"""

import re
from collections.abc import Iterable, Iterator
from typing import cast

import psycopg
from psycopg import sql
from sqlalchemy import Connection, text

from flows.sources import (
    FIRST_YEAR,
    HIGHEST_SHARE,
    LAST_YEAR,
    LOWEST_SHARE,
    MAX_LINE_BYTES,
    Row,
    SourceFile,
    open_file,
    read_header,
)

_CHUNK_BYTES = 256 * 1024

# What PostgreSQL reads otherwise than `read_rows` does: 0x7D0 and 2_000 as numbers, `\.` as the
# end of the data, a lone CR as a line end. Searched one by one, because Python's `re` is ten
# times slower on their alternation.
_UNUSUAL = tuple(map(re.compile, (rb"0[xXoObB]", rb"_[0-9]", rb"\\\.", rb"\r(?!\n)")))
# A cell that is quoted from end to end, on one line, with no quote inside.
_SIMPLE_QUOTED_CELL = re.compile(rb'"(?<![^,\n]")[^"\r\n]*"(?![^,\r\n])')

# A repeated year shows as a set of years smaller than the number of rows. As bits, 64 years a
# group, that takes an eighth of the time of grouping by year, which costs twice the COPY itself.
# PostgreSQL sorts NaN above every number, so max() finds it.
_CHECK = """
    SELECT 1 FROM {table} GROUP BY entity, year >> 6
    HAVING count(*) <> bit_count(bit_or(1::bigint << (year & 63))::bit(64))
        OR trim(entity) = ''
        OR min(year) < :first_year OR max(year) > :last_year
        OR min(share) < :lowest_share OR max(share) > :highest_share
    LIMIT 1
"""


class UnusualFileError(Exception):
    """A file is for the row-wise reader; it is not necessarily a bad one."""


def can_copy(connection: Connection) -> bool:
    """Tell whether the connection is one that `copy_file` can use."""
    dialect = connection.dialect
    return (dialect.name, dialect.driver) == ("postgresql", "psycopg")


def copy_file(connection: Connection, file: SourceFile, table: str) -> int:
    """Load a source file with COPY, in bounded memory, within the connection's transaction.

    Args:
        connection: Connection to PostgreSQL through psycopg.
        file: The file.
        table: An empty table with the columns entity, code, year and share.

    Returns:
        The number of rows.

    Raises:
        UnusualFileError: The file is for the row-wise reader; the transaction is of no more use.
        SourceError: The file cannot be read, or its header is wrong.
    """
    statement = sql.SQL(
        "COPY {} ({}) FROM STDIN"
        " (FORMAT csv, ENCODING 'UTF8', FORCE_NOT_NULL (code), FORCE_NULL (share))"
    ).format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, read_header(file).fields))
    )
    with _cursor(connection) as cursor:
        try:
            with cursor.copy(statement) as copy:
                for chunk in read_plain_chunks(file):
                    copy.write(chunk)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise UnusualFileError from error
        rows = cursor.rowcount
    if rows == 0 or _has_bad_row(connection, table):
        raise UnusualFileError
    return rows


def copy_rows(connection: Connection, rows: Iterable[Row], table: str) -> int:
    """Load rows that were read already; some five times slower than `copy_file`.

    Returns:
        The number of rows.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, Row._fields))
    )
    with _cursor(connection) as cursor:
        with cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
        return cursor.rowcount


def read_plain_chunks(file: SourceFile) -> Iterator[bytes]:
    """Read the bytes below the header, as long as every CSV parser agrees on their meaning.

    Yields:
        Pieces of the file of some 256 KiB, each ending at a line end.

    Raises:
        UnusualFileError: The next piece holds something that parsers read differently.
        SourceError: The file cannot be read.
    """
    with open_file(file) as stream:
        stream.readline(MAX_LINE_BYTES)
        while chunk := stream.read(_CHUNK_BYTES):
            if not chunk.endswith(b"\n"):
                chunk += stream.readline(MAX_LINE_BYTES)
            if not _is_plain(chunk):
                raise UnusualFileError
            rows = chunk.rstrip(b"\r\n")
            if rows:  # blank lines at the end of a file are common, and refused by COPY
                yield rows + b"".join(chunk[len(rows) :].splitlines(keepends=True)[:1])


def _cursor(connection: Connection) -> psycopg.Cursor:
    return cast(psycopg.Connection, connection.connection.driver_connection).cursor()


def _is_plain(chunk: bytes) -> bool:
    if any(pattern.search(chunk) for pattern in _UNUSUAL):
        return False
    if not _has_short_lines(chunk):
        return False
    return chunk.count(b'"') == 2 * len(_SIMPLE_QUOTED_CELL.findall(chunk))


def _has_short_lines(chunk: bytes) -> bool:
    start = 0
    while len(chunk) - start >= MAX_LINE_BYTES:
        start = chunk.rfind(b"\n", start, start + MAX_LINE_BYTES) + 1
        if start == 0:
            return False
    return True


def _has_bad_row(connection: Connection, table: str) -> bool:
    quoted = connection.dialect.identifier_preparer.quote(table)
    found = connection.execute(
        text(_CHECK.format(table=quoted)),
        {
            "first_year": FIRST_YEAR,
            "last_year": LAST_YEAR,
            "lowest_share": LOWEST_SHARE,
            "highest_share": HIGHEST_SHARE,
        },
    )
    return found.first() is not None
