"""What an operator types about an instance that runs: finds it, asks it, prints what it says.

Read `instances`, `client`, `verbs`; `status_text` is the table that `propylon status` prints.
"""
