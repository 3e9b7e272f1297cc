"""What every worker does, whichever way it runs its app: dials the gateways, keeps the links,
warms up, reports, and asks to be replaced.
"""
