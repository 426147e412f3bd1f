"""Operations: the embedded Redis, how a second terminal finds it, and what production demands of a real one.

Top of the tree beside the command line: nothing below imports this package.
"""
