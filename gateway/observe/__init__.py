"""Logs that an operator reads: the access log, and Propylon's own log.

Reading order: `line_writer` (a thread that writes a log) -> `log_file` (where a log goes) ->
`json_lines`, `console_log` (our own log), `configured` (--log-config), `process_log` -> `logs` (all
logs of a process, for logrotate) -> `formats` (a line of the access log), `terminal`,
`terminal_format` -> `access_log`.
"""
