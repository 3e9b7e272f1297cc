"""Sends files of a folder, as nginx does: `[[routes]] static = "DIR"`.

What a request's path names is opened below the folder, where nothing can lead out. Names tell the
media type (`media_types`) and, where somebody has compressed the file beforehand, which form the
client takes (`codings`). How an open file is sent, the room `gateway/files` knows. `static_files`
is the handler: it asks all of these in that order.

Reading order: static_files, media_types, codings.
"""
