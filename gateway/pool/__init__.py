"""The workers of one app: members, their slots, the queue, and the driver of each link.

Reading order: `clip_text`, `retry` -> `call` -> `health`, `departures` -> `queue`, `line`, `turns`,
`balance` -> `last_slots`, `route_share`, `sticky`, `sticky_cookie`, `sticky_address`, `load` (who
waits, who is chosen, how busy that makes the pool) -> `slow_start` -> `pool_member` ->
`workers_report`, `versions` -> `pool` -> `event_shapes`, `passed_files`, `file_delivery` ->
`link_member` -> `worker_listener`.
"""
