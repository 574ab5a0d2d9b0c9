"""Words to wishes, wishes to a request, a request to a shortlist and a route."""
