"""HTTP's rules for every version (RFC 9110), without I/O.

Reading order: `grammar` (which texts may pass) -> `rules` (what requests and responses may say) ->
`negotiation` (what a client is willing to take) -> `forwarded` (the syntax of a proxy's fields) ->
`trust` (whether they are used) -> `uuid7`, `request_ids` (what each request is called).
"""
