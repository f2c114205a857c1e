"""The end of a file over HTTP(S): one request for what is still missing, and an answer that can be relied on.

Standard library only. The system's proxy is used (variables such as `https_proxy`, or the settings of Windows and
macOS). An encrypted address never leads to one that is not.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

from sama_core import __version__

#: Answers after which asking the same address again may help.
_TEMPORARY = {408, 425, 429, 500, 502, 503, 504}
_HEADERS = {"User-Agent": f"sama-gimp/{__version__}", "Accept-Encoding": "identity"}

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class MirrorError(Exception):
    """An address did not give the file. `str(error)` is what happened, without a full stop.

    Attributes:
        temporary: asking the same address again may help.
        wants_login: it wants to know who asks.
    """

    def __init__(self, reason: str, temporary: bool = False, wants_login: bool = False) -> None:
        super().__init__(reason)
        self.temporary = temporary
        self.wants_login = wants_login


class Tail:
    """The bytes of a file from `start` to its end, as they arrive.

    Attributes:
        start: where they begin; 0 when the server sends the whole file although less was asked for.
        size: of the whole file, in bytes; None when the server does not say.
        validator: names this version of the file at this address (for `open_tail`); empty when the server names none.
    """

    def __init__(self, response: http.client.HTTPResponse, start: int) -> None:
        self._response = response
        self.start = start
        length = response.headers.get("Content-Length", "")
        self.size = start + int(length) if length.isdecimal() else None
        self.validator = _validator(response.headers)

    def read(self, limit: int) -> bytes:
        """Return what has arrived, at most `limit` bytes; nothing at the end.

        Raises:
            MirrorError: the connection broke or came to a standstill.
        """
        with _named_failures():
            return self._response.read1(limit)

    def close(self) -> None:
        """Let go of the connection."""
        self._response.close()


def host_of(url: str) -> str:
    """The part of an address that may be shown: its host, without a password that it may hold."""
    return urlsplit(url).hostname or url


def size_at(url: str, trusted: ssl.SSLContext | None, patience: float) -> int | None:
    """How large a file is, or None when its server does not say. What stands in the way, getting it will tell."""
    try:
        request = urllib.request.Request(url, headers=dict(_HEADERS), method="HEAD")
        with _named_failures(), _opener(trusted).open(request, timeout=patience) as answer:
            return int(answer.headers.get("Content-Length", ""))
    except (MirrorError, ValueError):
        return None


def open_tail(
    url: str, start: int, size: int | None, validator: str, patience: float, trusted: ssl.SSLContext | None = None
) -> Tail:
    """Ask for a file's bytes from `start` on.

    Args:
        url: http or https.
        start: bytes that are there already.
        size: of the whole file; an answer about a file of another size is refused. None when it is not known.
        validator: of the version that the bytes are of which are there; empty when that is not known.
        patience: seconds without a byte until a connection counts as dead.
        trusted: the certificates to trust; None for the system's.

    Raises:
        MirrorError: no answer, a refusal, or another file.
    """
    headers = dict(_HEADERS)
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator:
            headers["If-Range"] = validator
    with _named_failures():
        response = _opener(trusted).open(urllib.request.Request(url, headers=headers), timeout=patience)
    try:
        return Tail(response, _first_byte(response, start, size))
    except MirrorError:
        response.close()
        raise


def _first_byte(response: http.client.HTTPResponse, start: int, size: int | None) -> int:
    """Return where the answer's bytes begin, having seen that it is about the file that is wanted."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise MirrorError("it sends the file in a packed form that was not asked for")
    if response.status == 206 and start:
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if found is None or int(found[1]) != start:
            raise MirrorError("it sends another part of the file than was asked for")
        if size is not None and found[3] != "*" and int(found[3]) != size:
            raise MirrorError(f"its file has {found[3]} bytes and not {size}")
        return start
    if response.status != 200:
        raise MirrorError(f"it answers with status {response.status}")
    length = response.headers.get("Content-Length", "")
    if size is not None and length and length != str(size):
        if response.headers.get_content_type() == "text/html":
            raise MirrorError("it sends a web page in the file's place, perhaps the network's sign-in page")
        raise MirrorError(f"its file has {length} bytes and not {size}")
    return 0


def _validator(headers: Any) -> str:
    """A strong ETag, or the date: what If-Range takes."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        scheme = urlsplit(urljoin(req.full_url, newurl)).scheme
        if scheme != "https" and (scheme != "http" or req.type == "https"):
            raise MirrorError(f"it leads to an address without encryption ({scheme}), which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    #: Python 3.10 does not follow it by itself.
    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302


def _opener(trusted: ssl.SSLContext | None) -> urllib.request.OpenerDirector:
    """An opener for http and https alone: urllib's own would also follow a redirection to a file or to FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=trusted or ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


@contextlib.contextmanager
def _named_failures() -> Iterator[None]:
    """Turn what urllib and the system raise into `MirrorError`."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise _refusal(error) from error
    except urllib.error.URLError as error:
        raise _no_connection(error.reason) from error
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise _no_connection(error) from error


def _refusal(error: urllib.error.HTTPError) -> MirrorError:
    if error.code in (404, 410):
        return MirrorError(f"it does not have the file ({error.code})")
    if error.code == 407:
        return _proxy_wants_password()
    if error.code == 416:
        return MirrorError("its file is shorter than what is here already (416)")
    if 300 <= error.code < 400:
        return MirrorError("it leads on without end, or to an address that is not followed")
    return MirrorError(f"it refuses with status {error.code}", error.code in _TEMPORARY, error.code in (401, 403))


def _no_connection(reason: object) -> MirrorError:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return MirrorError(f"its certificate cannot be trusted ({reason.verify_message})")
    if isinstance(reason, socket.gaierror):
        return MirrorError("its address cannot be found", temporary=True)
    if isinstance(reason, TimeoutError):
        return MirrorError("it does not answer any more", temporary=True)
    if isinstance(reason, ConnectionRefusedError):
        return MirrorError("it takes no connection", temporary=True)
    if "407" in str(reason):
        return _proxy_wants_password()
    if isinstance(reason, (ConnectionError, http.client.IncompleteRead, ssl.SSLEOFError)):
        return MirrorError("the connection broke off", temporary=True)
    if isinstance(reason, ValueError) or "unknown url type" in str(reason):
        return MirrorError("its address makes no sense; it has to begin with https://")
    return MirrorError(f"the connection failed ({reason})", temporary=True)


def _proxy_wants_password() -> MirrorError:
    reason = "the network's proxy wants a name and a password; put them into https_proxy"
    return MirrorError(reason, wants_login=True)
