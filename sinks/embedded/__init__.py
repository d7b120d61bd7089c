"""A real ClickHouse engine behind ClickHouse's HTTP protocol, for machines without a ClickHouse server.

`python -m sinks.embedded --path DIR --port N` runs it; `sinks.embedded.process` starts and stops it from Python.

It listens on loopback only. Every request is one statement, answered in full or with ClickHouse's own error. What it
does not do, and a server does: sessions (`session_id` is accepted, `SET` and temporary tables last for one request),
external tables sent with a query, `input()`, roles, quotas, progress headers, and results larger than
`configuration.Limits.result_bytes`. There is one user with one password; inside the engine it is called `default`.

What must not reach the host through it is refused three times: by ClickHouse's grants (`configuration`), by the parsed
statement (`statement`), and by the kernel (`sandbox`). Where the kernel has no Landlock the first two remain, and a
query can then still read a file through the function `file()`: the log says so at the start.
"""
