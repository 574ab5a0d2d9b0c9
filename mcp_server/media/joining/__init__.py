"""One film out of clips: measured, laid out, written once, checked by what it shows, named.

`film.joined` is the way through; it runs in a process of its own and is called as `media.isolated.join`.
"""
