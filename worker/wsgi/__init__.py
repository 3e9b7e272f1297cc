"""WSGI (PEP 3333): calls, and the host that runs them on threads.

Reading order: `environ`, `input`, `spool` (the request) -> `start_response`,
`early_hints` -> `call` (one call) -> `call_queue` -> `leader`, `leader_policy`, `wait_meter`
(which thread reads the links) -> `thread_host`.
"""
