"""Stand-ins for one side of an interface, and the exams that they pass like the real ones.

An interface with more than one implementation has an exam: functions that put any implementation
through what the interface promises. A fake that passes it behaves as the tests assume.
"""
