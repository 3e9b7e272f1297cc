"""ASGI 3: calls and WebSockets, the lifespan, and the hosts on asyncio, uvloop and trio."""
