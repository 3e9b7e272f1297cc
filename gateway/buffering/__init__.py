"""Buffering: bodies that are kept whole between a slow client and a worker, in memory and then in
an unlinked temporary file, so that no thread of an app waits for a client.

Reading order: `store` (how much is kept, in all) -> `body_file` -> `request_buffer` ->
`response_spool`, `response_buffer` -> `pool_buffers` (what one pool does with its exchanges).
"""
