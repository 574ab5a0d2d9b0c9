"""Purchases that cannot be lost and cannot be paid twice.

`runner.TaskRunner` is the door, `runtime.TaskRuntime` what everything here shares. `store/` keeps the tasks behind
the protocol `store.base.TaskStore`, `submit/` sends their orders, `follow/` polls their jobs and keeps the leases,
`download/` saves the clips. `dispatcher` gives each task to what works on it, `control` does what a person decides.
Importing this package costs nothing: the database module, the event loop and the client come with the first call that
needs them.
"""
