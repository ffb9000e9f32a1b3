"""The report on a collection: what became of each file, and what the music is like."""
