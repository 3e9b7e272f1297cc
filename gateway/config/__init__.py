"""Options: one table of them, read from flags, environment and TOML, and checked all at once.

Reading order: `option` (what a row of the table says), `options` (the table), `values` (how a text
becomes a value) -> `sources` (flags, variables, TOML), `reading` (values get their types, faults
are collected), `faults` -> `environment`, `log_config`, `app_name`, `cgroup` with `cpus` and
`memory` (what a container may use), `identity` (single options that take more than a line) ->
`sections` with `static_routes` ([[pools]] and [[routes]]), `token_file`, `addresses`, `trust`,
`tls`, `http2`, `cross_check`, `memory_share` and `descriptors_note` (what options mean together) ->
`config` (the result) -> `load` (all of it in order) -> `build` (the settings of each child
process).

Beside them: `flags` is the command line, `report` prints what `propylon check` found;
`arguments`, `peers_options` and `translate` understand other servers' options, `migrate` and
`migrate_names` their configuration files.
"""
