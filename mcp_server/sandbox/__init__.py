"""The vendors' HTTP protocols on loopback, and a clip renderer: a rehearsal without money.

An independent reading of the vendors' documents: nothing here is shared with the adapters, so a
misreading on one side shows on the other.
"""
