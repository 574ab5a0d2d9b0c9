"""Commands that set up keys, clients, servers and rehearsals."""
