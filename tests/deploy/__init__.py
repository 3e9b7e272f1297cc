"""What `deploy/` holds for operators: each file is used as its reader would use it."""
