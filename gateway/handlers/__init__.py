"""What answers an exchange, whatever HTTP version it came in: today, the route to a pool."""
