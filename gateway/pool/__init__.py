"""The workers of one app: members, their slots, the queue, and the driver of each link.

Reading order: `retry` -> `call` -> `standing` -> `health`, `departures`, `report` -> `pool` ->
`peer_text` -> `member` -> `door`.
"""
