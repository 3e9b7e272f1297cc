"""How fast it is, beside its peers, on your machine: `python -m tests.bench` (see README.md)."""
