"""The workers of one app: members, their slots, the queue, and the driver of each link.

Reading order: `retry` -> `call` -> `health`, `departures` -> `queue`, `balance`, `load` (who waits,
who is chosen, how busy that makes the pool) -> `pool_member` -> `workers_report` -> `pool` ->
`clip_text`, `event_shapes` -> `link_member` -> `worker_listener`.
"""
