"""Object stores on loopback."""

from support.stores import emulated, place  # noqa: F401 - fixtures
