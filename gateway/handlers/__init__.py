"""What answers an exchange, whatever HTTP version it came in: the redirect to https, the route
to a pool."""
