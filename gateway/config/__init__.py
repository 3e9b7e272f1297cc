"""Options: one table of them, read from flags, environment and TOML, checked all at once.

Reading order: `option`, `options` (the table) -> `words` (values) -> `sources` (where they come
from), `arguments`, `peers_options`, `translate` (other servers' names for them) -> `sections`,
`cross_check` -> `load` -> `build` (the rooms' settings). `flags` is the command line, `report` what
`check` prints, `migrate` other servers' files.
"""
