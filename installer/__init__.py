"""Puts SAMA for GIMP in place and takes it away again. Standard library only, Python 3.9 or newer."""
