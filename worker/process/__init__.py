"""This process beside its app: the channel to its supervisor, forks, logs, and the end."""
