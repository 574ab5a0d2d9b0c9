"""Telling people elsewhere that a task ended: a durable outbox, and the ways out of it."""
