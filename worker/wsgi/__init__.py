"""WSGI (PEP 3333): calls, and the host that runs them on threads."""
