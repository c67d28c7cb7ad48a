"""HTTP/2 as bytes in, events out (RFC 9113), in both roles.

The library h2 keeps the states of streams and their windows. In front of it, :mod:`.frames` checks frames as their
first bytes come and :mod:`.caps` counts those that are abuse; behind it, :mod:`.heads` checks what a message says. What
h2 leaves to do is in :mod:`.engine`, each thing with its section.
"""
