"""What RFC 9110 says of every HTTP version: which texts may pass, and whose word is trusted."""
