"""The installer's window, through qtpy. Runs in a small environment of its own, and installs on a thread."""
