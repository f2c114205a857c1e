"""How much the engine takes from a client, and how long it waits for it."""

from __future__ import annotations

from sama_core.images import MAX_PIXELS

#: One line of JSON: 256 clicks take some 10 kB.
MAX_JSON_LINE = 64 * 1024

#: zlib's worst case is five bytes in each 16 KB block (zlib's `deflateBound`), and a few for the ends.
MAX_PROMPT_BODY = MAX_JSON_LINE + MAX_PIXELS + MAX_PIXELS // 1000 + 1024

MAX_IMAGE_BODY = MAX_PIXELS * 3

#: Pixels kept for the next click, in bytes. The newest image is kept whatever its size.
IMAGE_STORE_BYTES = 512 * 1024 * 1024

#: Seconds a connection may take to bring a whole request head.
HEAD_TIMEOUT = 10.0
#: Seconds without a byte after which an upload is given up.
READ_TIMEOUT = 30.0
#: Seconds a client may leave a piece of an answer unread.
SEND_TIMEOUT = 60.0
#: Seconds a quiet connection is kept open for a client's next request.
KEEP_ALIVE = 30
#: Connections at once; more are answered 503.
MAX_CONNECTIONS = 64

#: Bytes of an answer handed to the socket at a time: large enough that the cost per piece does not show.
SEND_CHUNK = 2 * 1024 * 1024
