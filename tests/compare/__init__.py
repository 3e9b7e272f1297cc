"""What the two comparisons with our peers share: `bench` (speed) and `nothing_dropped` (losses).

`ground` is what one start of a contestant has to itself, `server` its processes, `peers` and
`proxies` the commands that start them, `processes` finds and ends them, `command_line` says which
were chosen, and `versions` what was measured. Of the two clients `light_client` costs next to
nothing, and `strict_client` tells every kind of failure apart.
"""
