"""What every worker does, whichever way it runs its app: it dials the gateways, keeps the links,
warms up, reports, and asks to be replaced.

Reading order: `dialer` (which gateways) -> `link_problems` (why there is no link) ->
`link_session` (one link) -> `flush_policy` (when answers are sent), `file_passing` (open files for
the gateway) -> `unheard`, `abandoned_calls` (clients that leave) -> `vitals`, `recycle`, `warm_up`
-> `adaptive_limit`, `announced_slots` (how many calls at once) -> `registry_snapshot`,
`app_metrics` (the app's own metrics, for supervisors that ask) -> `host` (the rules that all hosts
share).
"""
