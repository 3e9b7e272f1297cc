"""What an operator sees: the access log, and the log of our own.

Reading order: `log_file` (a destination) -> `line_writer` (a thread that writes) -> `console_log`,
`configured` (--log-config) -> `logs` (all of a process) -> `formats`, `terminal`, `terminal_format`
-> `access_log`.
"""
