"""Starts, watches, replaces and ends the gateway and worker processes. Touches no request."""
