"""Options: one table of them, read from flags, environment and TOML, checked all at once."""
