"""Wishes and arguments to a request, a request to a shortlist and a route."""
