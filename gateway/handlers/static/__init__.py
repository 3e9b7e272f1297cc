"""Sends files of a folder, as nginx does: `[[routes]] static = "DIR"`.

What a request's path names is looked for below the folder (`lookup`), where nothing can lead out.
Names tell the media type (`media_types`) and, where somebody has compressed the file beforehand,
which form the client takes (`codings`). A folder may be listed (`listing`). How an open file is
sent, the room `gateway/files` knows. `static_files` is the handler: it asks all of these.

Reading order: static_files, lookup, listing, media_types, codings.
"""
