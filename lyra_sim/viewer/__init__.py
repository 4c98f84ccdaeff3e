"""Show scenes to people: live in a browser (`live`), or as one page that needs no server (`page`)."""
