"""The workers of one app: members, their slots, the queue, and the driver of each link.

Reading order: `call` -> `retry` -> `pool` -> `member` -> `door`.
"""
