"""Objects that several kinds of world are furnished with, each built in its own frame."""
