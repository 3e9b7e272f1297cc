"""Which processes there should be, and what is to be done about it. Pure: told events and the
time, it answers with commands, and does nothing itself.
"""
