"""The local engine process: one per user, spoken to over loopback HTTP as docs/protocol.md says."""

#: version of docs/protocol.md that this engine speaks
PROTOCOL = 1
