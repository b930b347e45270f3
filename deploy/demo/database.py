# SPDX-License-Identifier: Apache-2.0
"""The demo's tables and queries, each query in a client span of its own."""

import os
import time
from contextlib import contextmanager

import psycopg2.extensions
import psycopg2.pool
from opentelemetry import trace

tracer = trace.get_tracer("report-demo")
ITEMS, HOT_ITEMS = 2000, 3

SCHEMA = f"""
CREATE TABLE items (id int PRIMARY KEY, name text, price int, stock int);
CREATE TABLE sales (item int, customer int, amount int, note text);
INSERT INTO items SELECT n, 'item ' || n, n % 97 + 1, 1000000 FROM generate_series(1, {ITEMS}) n;
INSERT INTO sales SELECT n % {ITEMS} + 1, n::bigint * 7919 % 10007, n % 500, md5(n::text)
    FROM generate_series(1, 400000) n;
ANALYZE;
"""

# A sort and an aggregate over so many rows that it takes as long as it should.
REPORT = """
SELECT customer, count(*), sum(amount), max(md5(md5(md5(note))))
FROM (SELECT * FROM sales LIMIT %s) part
GROUP BY customer ORDER BY 4 LIMIT 400
"""


class Database:
    def __init__(self, url):
        self._pool = psycopg2.pool.ThreadedConnectionPool(1, 32, url)
        with self._pool_connection() as connection:
            parameters = connection.get_dsn_parameters()
            self._attributes = {
                "db.system.name": "postgresql",
                "server.address": parameters["host"],
                "server.port": int(parameters["port"]),
            }

    @contextmanager
    def _pool_connection(self):
        connection = self._pool.getconn()
        try:
            with connection:  # commit or roll back
                yield connection
        finally:
            self._pool.putconn(connection)

    @contextmanager
    def transaction(self):
        with self._pool_connection() as connection, connection.cursor() as cursor:
            yield lambda name, sql, *values: self._query(cursor, name, sql, values)

    def query(self, name, sql, *values):
        with self.transaction() as run:
            return run(name, sql, *values)

    def _query(self, cursor, name, sql, values):
        attributes = {**self._attributes, "db.query.text": " ".join(sql.split())}
        with tracer.start_as_current_span(name, kind=trace.SpanKind.CLIENT, attributes=attributes):
            cursor.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    def create(self):
        with self._pool_connection() as connection, connection.cursor() as cursor:
            cursor.execute(SCHEMA)

    def rows_for(self, wanted_s):
        """How many sales a report has to read to take so long on this machine."""
        rows = 50000
        with self._pool_connection() as connection, connection.cursor() as cursor:
            for _ in range(4):
                start = time.perf_counter()
                cursor.execute(REPORT, (rows,))
                cursor.fetchall()
                took = time.perf_counter() - start
                rows = max(1000, min(400000, int(rows * wanted_s / took)))
        return rows


def from_environment():
    return Database(os.environ["DATABASE_URL"])
