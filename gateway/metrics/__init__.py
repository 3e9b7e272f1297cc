"""What is counted, how the counts of several processes become one, and how they are shown.

A gateway process counts in plain integers of its own (`counters`). When somebody asks, the
supervisor collects a snapshot of each gateway process, adds what it counts itself, and keeps what
processes that have ended had counted, so that no counter ever goes back. `prometheus_client` writes
the text.

Reading order: `families` (the table of all that is counted) -> `snapshot` (what travels) ->
`failures`, `counters`, `measures` (one gateway process) -> `totals` (one sum of many processes) ->
`exposed` (what is shown) -> `exposition` (as a text), `quantiles` (as an estimate), `outcomes` ->
`app_snapshot`, `app_worker`, `app_merge` (what the apps count themselves).
"""
