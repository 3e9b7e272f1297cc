"""What an operator sees: the access log, and the log of our own.

Reading order: `log_file` (a destination) -> `line_writer` (a thread that writes) -> `console_log`,
`configured` (--log-config), `process_log` -> `logs` (all of a process) -> `formats`, `terminal`,
`terminal_format` -> `access_log`.
"""
