"""Sends files, whoever has opened them: a route of static files, or an app that hands one over.

The room knows no route, no pool and no connection. A path is taken apart (`wanted_path`) and what
it names is opened below a folder (`folder`). An open file (`disk_file`) is closed when nobody has
it any more. What is asked for again and again is kept (`hot_files`). A file's validators and the
client's conditions on them decide whether it is sent at all (`validators`), the Range field how
much of it (`ranges`); `file_response` asks both, and answers. A small file goes out as one complete
response. A large one is pushed by credit (`file_source`): from the page cache, where it stays until
the kernel sends it (`page_cache`), and what has to come from a disk is waited for in a thread
(`disk_threads`). What there is to wait for depends on the `file_system`.

An app's file comes with a head of the app's own (`app_file`).

Reading order: file_system, disk_file, wanted_path, folder, validators, ranges, file_response,
app_file, file_source, page_cache, disk_threads, hot_files.
"""
