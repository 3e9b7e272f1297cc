"""HTTP/1.1 without I/O: raw heads checked, parsed by h11 or httptools, bodies framed, responses rendered."""
