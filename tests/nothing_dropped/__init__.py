"""The test that is published: reload, crash, hang and stop under real clients, counting every loss.

    python -m tests.nothing_dropped [--seconds 60] [--variants ...] [--contestants ...]

Read `variants` first (what is done to a server, and what it may cost), then `strict_client` of
`tests.compare` (what counts as a failure), `clients` and `streams` (who is connected), `actions`
(what is done to the server), `contestants` (who is tried), `trial` (one contestant in one variant).
"""
