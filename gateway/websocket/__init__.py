"""WebSockets without I/O: frames and their compression (RFC 6455, RFC 7692), and who is told to
connect again when (1012).
"""
