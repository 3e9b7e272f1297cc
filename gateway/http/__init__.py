"""HTTP's rules for every version (RFC 9110), without I/O.

Reading order: `grammar` (which texts may pass), `head_limits` (how long they may be) -> `rules`
(what requests and responses may say) -> `read_request` (what a request has said) -> `negotiation`
(what a client is willing to take) -> `forwarded` (the syntax of a proxy's fields) -> `trust`
(whether they are used) -> `uuid7`, `request_ids` (what each request is called).
"""
