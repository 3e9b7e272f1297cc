"""The workers of one app: members, their slots, the queue, and the driver of each link.

Reading order: `retry` -> `call` -> `pool_member` -> `health`, `departures`, `workers_report` ->
`pool` -> `clip_text` -> `link_member` -> `worker_listener`.
"""
