"""Sends files of a folder, as nginx does: `[[routes]] static = "DIR"`.

A request's path is taken apart (`wanted_path`), and what it names is opened below the folder
(`folder`), where nothing can lead out. Names tell the media type (`media_types`) and, where
somebody has compressed the file beforehand, which form the client takes (`codings`). The file's
validators and the client's conditions on them decide whether it is sent at all (`validators`), the
Range field how much of it (`ranges`). A small file goes out as one complete response, a large one
is pushed by credit (`file_source`) from the page cache, and what has to come from a disk is read in
a thread (`disk_threads`). `static_files` is the handler: it asks all of these in that order.

Reading order: static_files, wanted_path, folder, media_types, codings, validators, ranges,
file_source, disk_threads.
"""
