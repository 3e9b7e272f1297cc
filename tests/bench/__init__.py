"""How fast it is, beside its peers, on your machine: `python -m tests.bench`.

Read `rows` (what is measured) and `contestants` (of whom) first, then `rounds`, which alternates
them; `closed_loop`, `open_loop`, `websockets` and `idle` are the loads. `targets` is what is to be
reached, `report` and `plot` show what was, and `test_floor` is what CI holds. `overload` is a
command of its own, for more than the workers can do, with the clients of `crowd`, and
`slow_clients`, `floods`, `slow_bodies`, `many_idle`, `static_files` and `app_files` are others:
slowhttptest's attacks, clients that flood, slow uploads and downloads beside a WSGI pool, ten
thousand idle connections, files beside nginx, files that an app answers with.
"""
