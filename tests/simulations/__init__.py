"""Simulations: what the parts that decide would do over minutes and hours, in a second.

They drive the real deciding code (it is pure and is told the time) with a model of all the rest.
Tests hold what must come out, and the plots of the documentation are drawn from the same runs:

    python -m tests.simulations.autoscaler_plot     docs/autoscaler.svg
    python -m tests.simulations.queue_rules         the table of queues in docs/OVERLOAD.md
    python -m tests.simulations.adaptive_limit_plot docs/adaptive-limit.svg, and the table of limits
                                                    in docs/OVERLOAD.md
"""
