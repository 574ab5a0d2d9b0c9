"""The studio: a page of one's own clips, films and spending; nothing of it is imported before it is used."""
