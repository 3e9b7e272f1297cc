"""The admin listener (--admin-bind): health, metrics, status and the status page, for reading only.

It runs in the supervisor, so it answers while every gateway process and every worker is busy or
hung, and can say so. docs/ADMIN.md says what its users may rely on. Nothing here is imported unless
the option is given.

Reading order: `health` (the three questions), `host_check`, `token_guard` (who may read)
-> `instance` (what is asked of the supervisor) -> `shared_making`, `history`,
`status_events`, `events`, `page` -> `answers` (the paths) -> `connections` (how many there may be)
-> `listener` (all of it, for as long as the instance lives).
"""
