"""What every worker does, whichever way it runs its app: it dials the gateways, keeps the links,
warms up, reports, and asks to be replaced.

Reading order: `dialer` (which gateways) -> `link_session` (one link) ->
`flush_policy` (when answers are sent) -> `unheard`, `abandoned_calls` (clients that leave) ->
`vitals`, `recycle`, `warm_up` -> `host` (the rules that all hosts share).
"""
