"""Handlers decide what answers an exchange, whatever HTTP version it came in.

Reading order: `route` (host and path lead to a pool) -> `redirect` (plain HTTP is sent to https) ->
`static` (a folder's files).
"""
