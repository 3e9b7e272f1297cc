"""The supervisor's own code is replaced while its children serve: exec(2), with all that it knows
handed over.
"""
