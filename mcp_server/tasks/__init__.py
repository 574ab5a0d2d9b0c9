"""Purchases that cannot be lost and cannot be paid twice: the record, buying, following, saving.

`desk.TaskRunner` is the door; `record.Record` is the seam behind which the database is. Importing this package
costs nothing: the database module, the event loop and the client come with the first call that needs them.
"""
