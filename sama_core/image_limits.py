"""How large an image may be, for files and for the engine alike: beyond this a desktop has not the memory."""

#: width times height
MAX_PIXELS = 128_000_000
MAX_SIDE = 60_000
