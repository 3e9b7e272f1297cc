"""The gateway: holds every client connection and forwards each exchange to a worker's app.

`assemble` is the one file that knows all rooms. One request walks
`serve` -> `http` -> `exchange` -> `handlers` -> `pool`, and its response walks back.
"""
