"""Decisions: values in, values out. Nothing here reads a clock, a socket, a file or a random source."""
