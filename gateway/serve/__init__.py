"""A client connection's life: bytes meet exchanges; the accept loop; the sweeper of deadlines."""
