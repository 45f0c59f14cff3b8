"""Written by tools/genwire.py."""
