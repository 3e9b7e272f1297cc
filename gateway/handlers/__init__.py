"""Handlers decide what answers an exchange, whatever HTTP version it came in.

Reading order: `route` (host and path lead to a pool) -> `limited_bodies` (how large its requests'
bodies may be) -> `internal_files` (files that an app names in a field) -> `redirect` (plain HTTP is
sent to https) -> `static` (a folder's files).
"""
