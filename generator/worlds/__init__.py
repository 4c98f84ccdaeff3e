"""Procedural worlds: the scene prior of the mini size, made from words and a seed."""
