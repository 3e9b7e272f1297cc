"""The house rules, checked by reading the source. Every rule has snippets that break it, and a
test that they are caught; a rule that names what is not there fails too.

`test_rooms` who may import whom; `test_purity` which files know no I/O; `test_assignments` who
writes whose fields; `test_names` one word, one meaning; `test_packaging` what lies where;
`test_mirror` where a test stands; `test_patterns` regular expressions that all Pythons read alike.
"""
