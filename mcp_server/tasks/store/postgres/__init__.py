"""Tasks written down in Postgres, for many machines: the same promises as the file, and an engine that hands them out.

Nothing outside this package imports psycopg or procrastinate, and nothing imports this package unless
KLING_DATABASE_URL is set.
"""
