"""Downloads from real servers that break off, lie and refuse: the right file or none, and what came is not lost."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from pathlib import Path

import pytest
from file_server import CERTIFICATE, Behaviour, FileServer, wait_for

from sama_core.errors import WeightsError
from sama_core.weights.download import DownloadError, Patience, RemoteFile, download, part_of

QUICK = Patience(silence=20.0, pauses=(0.01, 0.01, 0.01))
CUT = Behaviour(drop_after=1_200_000)


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "weights" / "model.pth"


@pytest.fixture
def fetch(content, target):
    target.parent.mkdir()

    def run(*servers: FileServer | str, progress=lambda *_: None, patience: Patience = QUICK) -> None:
        urls = tuple(server if isinstance(server, str) else server.url + "model.pth" for server in servers)
        download(RemoteFile(urls, len(content), hashlib.sha256(content).hexdigest()), target, progress, patience)

    return run


def names(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_is_fetched_once(fetch, serve, target, content):
    server = serve()
    told = []
    fetch(server, progress=lambda *step: told.append(step))
    assert target.read_bytes() == content
    assert names(target) == ["model.pth"]
    assert told[0][:2] == (0, len(content)) and told[-1] == (len(content), len(content), "Checking")
    assert [done for done, _, text in told if text.startswith("Downloading")] == sorted(
        done for done, _, text in told if text.startswith("Downloading")
    )
    fetch(server)
    assert len(server.requests) == 1


def test_a_broken_connection_goes_on_where_it_broke(fetch, serve, target, content):
    server = serve(CUT, CUT, Behaviour())
    fetch(server)
    assert target.read_bytes() == content
    assert server.asked_ranges == ["", "bytes=1200000-", "bytes=2400000-"]
    assert [headers.get("if-range") for *_, headers in server.requests] == [None, '"v1"', '"v1"']


def test_a_later_run_goes_on_where_the_last_one_ended(fetch, serve, target, content):
    server = serve(CUT, Behaviour(status=404), Behaviour())
    with pytest.raises(DownloadError, match=r"does not have the file.*; what has come \(1 MB\) is kept\.$"):
        fetch(server)
    assert not target.exists() and part_of(target).read_bytes() == content[:1_200_000]
    fetch(server)
    assert target.read_bytes() == content and names(target) == ["model.pth"]
    assert server.asked_ranges[-1] == "bytes=1200000-"


def test_another_mirror_goes_on_with_what_the_first_one_gave(fetch, serve, target, content):
    first, second = serve(CUT, Behaviour(status=503)), serve(etag='"theirs"')
    fetch(first, second)
    assert target.read_bytes() == content
    assert len(first.requests) == 4  # three more tries bring nothing
    [(_, _, headers)] = second.requests
    assert headers["range"] == "bytes=1200000-" and "if-range" not in headers


def test_a_file_that_changed_on_the_server_is_fetched_anew(fetch, serve, target, content):
    server = serve(CUT, Behaviour(status=404), content=bytes(len(content)))
    with pytest.raises(DownloadError):
        fetch(server)
    server.content, server.etag, server.behaviours = content, '"v2"', [Behaviour()]
    fetch(server)
    assert target.read_bytes() == content
    assert len(server.requests) == 3  # the answer to If-Range was the whole file


def test_a_server_that_ignores_range_sends_it_all_again(fetch, serve, target, content):
    server = serve(CUT, Behaviour(ranges=False))
    fetch(server)
    assert target.read_bytes() == content and len(server.requests) == 2


def test_a_server_that_never_gets_further_is_given_up(fetch, serve, target):
    server = serve(Behaviour(ranges=False, drop_after=1_200_000))
    with pytest.raises(DownloadError, match="the connection broke off"):
        fetch(server)
    assert len(server.requests) == 4  # only the first one brought something


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        (Behaviour(status=404), r"127\.0\.0\.1: it does not have the file \(404\)"),
        (Behaviour(status=410), "does not have the file"),
        (Behaviour(status=403), "refuses with status 403"),
        (Behaviour(status=500), "refuses with status 500"),
        (Behaviour(status=204), "answers with status 204"),
        (Behaviour(status=416), "shorter"),
        (Behaviour(body=b"short"), "its file has 5 bytes and not 3000000"),
        (Behaviour(body=b"<html>", headers={"Content-Type": "text/html"}), "sign-in page"),
        (Behaviour(length=10**13), "its file has 10000000000000 bytes"),
        (Behaviour(length=-1, body=b"cut short"), "its file is shorter"),
        (Behaviour(headers={"Content-Encoding": "gzip"}), "packed form"),
        (Behaviour(drop_after=0), "the connection broke off"),
        (Behaviour(headers={"Content-Length": "many"}), "bytes and not"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_answer_is_one_sentence_and_the_next_mirror_serves(fetch, serve, target, content, behaviour, text):
    with pytest.raises(
        DownloadError, match=rf"^model\.pth could not be downloaded \(.*{text}.*\)\. Check .*\.$"
    ) as bad:
        fetch(serve(behaviour))
    assert str(bad.value).count("\n") == 0 and isinstance(bad.value, WeightsError)
    assert not target.exists()
    fetch(serve(behaviour), serve())
    assert target.read_bytes() == content


def test_wrong_bytes_never_get_the_files_name(fetch, serve, target, content):
    wrong = content[:-1] + bytes([content[-1] ^ 1])
    server = serve(content=wrong)
    with pytest.raises(DownloadError, match="wrong checksum"):
        fetch(server)
    assert names(target) == [] and len(server.requests) == 1
    fetch(server, serve())
    assert target.read_bytes() == content


def test_an_endless_answer_is_not_read_beyond_the_files_size(fetch, serve, target, content):
    server = serve(Behaviour(length=-1), content=content + bytes(10_000_000))
    fetch(server)
    assert target.read_bytes() == content


def test_a_damaged_part_costs_one_more_download(fetch, serve, target, content):
    server = serve()
    part_of(target).write_bytes(bytes(1_000_000))
    fetch(server)
    assert target.read_bytes() == content and names(target) == ["model.pth"]
    assert server.asked_ranges == ["bytes=1000000-", ""]


def test_a_part_that_is_too_long_or_complete(fetch, serve, target, content):
    server = serve()
    part_of(target).write_bytes(content + b"x")
    fetch(server)
    assert target.read_bytes() == content and server.asked_ranges == [""]
    target.rename(part_of(target))
    fetch(server)
    assert target.read_bytes() == content and len(server.requests) == 1


def test_a_damaged_file_is_replaced(fetch, serve, target, content):
    target.write_bytes(bytes(len(content)))
    fetch(serve())
    assert target.read_bytes() == content


def test_silence_ends(fetch, serve, target, content):
    server = serve(Behaviour(drop_after=1_000_000, hang=True), Behaviour())
    fetch(server, patience=Patience(0.5, (0.01,)))
    assert target.read_bytes() == content and server.asked_ranges == ["", "bytes=1000000-"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirections_are_followed_with_the_range(fetch, serve, target, content, status):
    second = serve()
    part_of(target).write_bytes(content[:1000])
    fetch(serve(Behaviour(status=status, headers={"Location": second.url + "deeper"})))
    assert target.read_bytes() == content and second.asked_ranges == ["bytes=1000-"]


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_redirections_never_leave_http(fetch, serve, target, place):
    with pytest.raises(DownloadError, match=r"without encryption|not followed"):
        fetch(serve(Behaviour(status=302, headers={"Location": place})))
    assert names(target) == []


def test_redirections_in_a_circle_end(fetch, serve):
    server = serve()
    server.behaviours = [Behaviour(status=302, headers={"Location": server.url})]
    with pytest.raises(DownloadError, match="without end"):
        fetch(server)


def test_encryption_is_never_given_up(fetch, serve, target, content, monkeypatch):
    plain = serve()
    bad = serve(Behaviour(status=302, headers={"Location": plain.url}), tls=True)
    with pytest.raises(DownloadError, match="certificate cannot be trusted"):
        fetch(bad)
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with pytest.raises(DownloadError, match=r"without encryption \(http\)"):
        fetch(bad)
    assert plain.requests == []
    good = serve(tls=True)
    fetch(serve(Behaviour(status=302, headers={"Location": good.url}), tls=True))
    assert target.read_bytes() == content


def test_the_proxy_of_the_system_is_asked(fetch, serve, target, content, monkeypatch):
    proxy = serve()
    monkeypatch.setenv("http_proxy", proxy.url)
    fetch("http://weights.invalid/model.pth")
    assert target.read_bytes() == content
    assert [path for _, path, _ in proxy.requests] == ["http://weights.invalid/model.pth"]


def test_a_proxy_that_wants_a_password_is_named(fetch, serve, monkeypatch):
    monkeypatch.setenv("http_proxy", serve(Behaviour(status=407)).url)
    with pytest.raises(DownloadError, match="proxy wants a name and a password"):
        fetch("http://weights.invalid/model.pth")


def test_passwords_in_addresses_are_not_shown(fetch, serve):
    server = serve(Behaviour(status=404))
    with pytest.raises(DownloadError) as error:
        fetch(server.url.replace("//", "//me:secret@") + "model.pth")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://127.0.0.1:1/x", "takes no connection"),
        ("http://weights.invalid/x", "address cannot be found|connection failed"),
        ("gopher://127.0.0.1/x", "has to begin with https"),
        ("nonsense", "has to begin with https"),
    ],
)
def test_no_server(fetch, serve, url, text):
    with pytest.raises(DownloadError, match=text):
        fetch(url)


def test_a_small_disk_is_seen_before_the_first_byte(fetch, serve, target, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 2_000_000))
    server = serve()
    with pytest.raises(DownloadError, match=r"takes 3 MB more and .* has only 2 MB free\. Make room"):
        fetch(server)
    assert server.requests == [] and names(target) == []


def test_a_folder_that_cannot_be_written(fetch, serve, target):
    target.parent.rmdir()
    with pytest.raises(DownloadError, match=r"cannot be written to .*: No such file"):
        fetch(serve())


def test_stopping_keeps_what_came(fetch, serve, target, content):
    class Stopped(Exception):
        pass

    def stop(done, total, text):
        if done > 1_000_000:
            raise Stopped

    server = serve()
    with pytest.raises(Stopped):
        fetch(server, progress=stop)
    kept = part_of(target).read_bytes()
    assert len(kept) > 1_000_000 and content.startswith(kept)
    fetch(server)
    assert target.read_bytes() == content and server.asked_ranges[-1] == f"bytes={len(kept)}-"


def test_two_at_once_fetch_it_once(fetch, serve, target, content):
    server = serve(Behaviour(delay=0.005))
    waited = threading.Event()

    def progress(done, total, text):
        if text.startswith("Waiting"):
            waited.set()

    threads = [threading.Thread(target=fetch, args=(server,), kwargs={"progress": progress}) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == content and names(target) == ["model.pth"]
    assert waited.is_set() and len(server.requests) == 1


CHILD = """
import resource, sys
from pathlib import Path
from sama_core.weights.download import DownloadError, RemoteFile, download
url, size, sha256, target, limit = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    download(RemoteFile((url,), int(size), sha256), Path(target))
except DownloadError as error:
    sys.exit(str(error))
"""


def child(server: FileServer, content: bytes, target: Path, limit: int = 0) -> subprocess.Popen[str]:
    arguments = [server.url, str(len(content)), hashlib.sha256(content).hexdigest(), str(target), str(limit)]
    return subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stderr=subprocess.PIPE, text=True)


def test_a_killed_process_leaves_a_part_that_serves(fetch, serve, target, content):
    server = serve(Behaviour(drop_after=1_000_000, hang=True), Behaviour())
    process = child(server, content, target)
    try:
        wait_for(lambda: part_of(target).exists() and part_of(target).stat().st_size > 500_000, "half a file")
        assert not target.exists()
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    fetch(server)
    assert target.read_bytes() == content and names(target) == ["model.pth"]
    assert server.asked_ranges[1].startswith("bytes=")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on a file's size to set")
def test_a_disk_that_fills_up_keeps_what_came(fetch, serve, target, content):
    server = serve()
    process = child(server, content, target, limit=1_000_000)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "The disk is full: model.pth did not fit into" in errors and "Make room and run it again." in errors
    assert not target.exists() and part_of(target).stat().st_size > 500_000
    fetch(server)
    assert target.read_bytes() == content and server.asked_ranges[-1].startswith("bytes=")
