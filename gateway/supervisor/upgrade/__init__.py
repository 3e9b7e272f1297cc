"""Upgrade: the supervisor's own code is replaced by exec(2) while its children serve, and its whole
state is handed over.

Reading order: `saved_state` (what is handed over) -> `save_and_restore` -> `exec` ->
`code_upgrade` (one attempt).
"""
