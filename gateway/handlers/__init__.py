"""What answers an exchange: the route decides which pool, forward sends it there."""
