"""Distributed tracing: W3C Trace Context on a request's way, and spans of what the gateway did."""
