"""`sama weights` against a real server, with ViT-B replaced by a small SAM in the layout of the official files."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from file_server import Behaviour, FileServer, wait_for

from sama_core import paths
from sama_core.cli import main
from sama_core.weights import registry
from sama_core.weights.download import part_of

SCRIPT = Path(__file__).with_name("small_registry.py")
ROOT = Path(__file__).resolve().parents[2]


def tiny_sam(seed: int):
    """SAM as `segment_anything` builds it, but for an encoder of one small block."""
    import torch
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
    from torch import nn

    torch.manual_seed(seed)
    encoder = ImageEncoderViT(
        img_size=256,
        patch_size=4,
        embed_dim=16,
        depth=1,
        num_heads=2,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),  # type: ignore[arg-type] - as segment_anything itself does
        use_rel_pos=True,
        global_attn_indexes=(0,),
        out_chans=256,
    )
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
    decoder = MaskDecoder(transformer_dim=256, transformer=transformer)
    return Sam(encoder, PromptEncoder(256, (64, 64), (256, 256), 16), decoder).eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    import torch

    path = tmp_path_factory.mktemp("official") / "sam_vit_b_01ec64.pth"
    torch.save(tiny_sam(1).state_dict(), path)
    return path


@pytest.fixture
def content(checkpoint) -> bytes:
    return checkpoint.read_bytes()


@pytest.fixture(autouse=True)
def model(tmp_path, monkeypatch, content) -> registry.ModelInfo:
    monkeypatch.setenv("SAMA_HOME", str(tmp_path / "home"))
    small = replace(
        registry.info("vit_b"),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        urls=("none://x",),
    )
    monkeypatch.setitem(registry.MODELS, "vit_b", small)
    return small


def run(*arguments: str | Path) -> int:
    return main(["weights", *map(str, arguments)])


def listed(capsys) -> dict[str, dict]:
    capsys.readouterr()
    assert run("list", "--json") == 0
    return {one["name"]: one for one in json.loads(capsys.readouterr().out)["models"]}


def test_what_came_over_the_network_is_a_model(serve, model, monkeypatch, content, capsys):
    import torch

    from sama_core.model.backbones import sam_vit

    server = serve(Behaviour(drop_after=len(content) // 2), Behaviour())
    assert run("get", "vit_b", "--mirror", server.url) == 0
    assert capsys.readouterr().out == f"vit_b is here: {model.weights}\n"
    assert [path for _, path, _ in server.requests] == ["/sam_vit_b_01ec64.pth"] * 2
    monkeypatch.setattr(sam_vit, "build_sam_vit", lambda _: sam_vit.wrap_sam(tiny_sam(2)))
    network, sha256 = registry.load("vit_b")
    assert sha256 == model.sha256
    ours, theirs = network.state_dict(), tiny_sam(1).state_dict()
    key = "image_encoder.patch_embed.proj.weight"
    assert torch.equal(ours[f"backbone.{key}"], theirs[key])
    assert torch.equal(ours["mask_decoder.iou_token.weight"], theirs["mask_decoder.iou_token.weight"])


def test_progress_for_programs(serve, model, content, capsys):
    assert run("get", "vit_b", "--json", "--mirror", serve().url) == 0
    *steps, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert last == {"event": "done", "model": "vit_b", "path": str(model.weights)}
    assert {step["event"] for step in steps} == {"progress"} and steps[-1]["done"] == len(content)
    assert all(0 <= step["done"] <= step["total"] == len(content) for step in steps)


def test_no_mirror_is_status_1_and_one_line(serve, model, capsys):
    server = serve(Behaviour(status=404))
    assert run("get", "vit_b", "--mirror", server.url) == 1
    captured = capsys.readouterr()
    [line] = captured.err.splitlines()
    assert captured.out == "" and line.startswith("sama: sam_vit_b_01ec64.pth could not be downloaded (127.0.0.1: ")
    assert not model.weights.exists()


@pytest.fixture
def start(model, tmp_path):
    """Start `sama weights …` as a process of its own."""
    processes: list[subprocess.Popen[str]] = []

    def begin(server: FileServer, *arguments: str) -> subprocess.Popen[str]:
        about = {"size": model.size, "sha256": model.sha256, "urls": [server.url + model.file]}
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), "weights", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT), "SAMA_TEST_FILE": json.dumps(about)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_ctrl_c_keeps_what_came(serve, start, model, content):
    server = serve(Behaviour(drop_after=len(content) // 2, hang=True), Behaviour())
    process = start(server, "get", "vit_b")
    part = part_of(model.weights)
    wait_for(lambda: part.exists() and part.stat().st_size > len(content) // 4, "a quarter of the file")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "are kept. The same command goes on from there.\n" in err and "Traceback" not in err
    assert not model.weights.exists()
    assert start(server, "get", "vit_b").wait(60) == 0
    assert model.weights.read_bytes() == content
    assert server.asked_ranges[1] not in ("", "bytes=0-")
    assert [path.name for path in model.weights.parent.iterdir()] == [model.file]


def test_two_processes_fetch_it_once(serve, start, model, content):
    server = serve(Behaviour(delay=0.001))
    both = [start(server, "get", "vit_b") for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert model.weights.read_bytes() == content and len(server.requests) == 1


def test_the_list_tells_what_is_here(model, content, capsys):
    entry = listed(capsys)["vit_b"]
    assert (entry["present"], entry["partial"], entry["damaged"]) == (False, 0, False)
    assert entry["size"] == len(content) and entry["licence"] == "Apache-2.0" and "memory" in entry["needs"]
    assert listed(capsys)["lite"]["present"]
    model.weights.parent.mkdir(parents=True)
    part_of(model.weights).write_bytes(content[:2_000_000])
    assert listed(capsys)["vit_b"]["partial"] == 2_000_000
    run("list")
    assert "2 MB are here; go on with: sama weights get vit_b" in capsys.readouterr().out
    model.weights.write_bytes(b"cut")
    assert listed(capsys)["vit_b"]["damaged"]
    model.weights.write_bytes(content)
    assert listed(capsys)["vit_b"]["present"]


def test_a_file_at_hand_is_copied(model, checkpoint, content, capsys):
    model.weights.parent.mkdir(parents=True)
    part_of(model.weights).write_bytes(b"begun")
    assert run("take", "vit_b", checkpoint) == 0
    assert capsys.readouterr().out == f"vit_b is here: {model.weights}\n"
    assert model.weights.read_bytes() == content == checkpoint.read_bytes()
    assert not model.weights.samefile(checkpoint)
    assert [path.name for path in model.weights.parent.iterdir()] == [model.file]
    assert run("take", "vit_b", model.weights) == 0


def test_a_file_at_hand_is_linked(model, checkpoint, content):
    assert run("take", "vit_b", checkpoint, "--link") == 0
    assert model.weights.samefile(checkpoint)
    assert run("take", "vit_b", checkpoint) == 0
    assert run("remove", "vit_b") == 0
    assert not model.weights.exists() and checkpoint.read_bytes() == content


def bomb_of(size: int, place: Path) -> bytes:
    class Bomb:
        def __reduce__(self):
            return (open, (str(place), "w"))

    return pickle.dumps(Bomb()).ljust(size, b"\0")


@pytest.mark.parametrize("link", [[], ["--link"]])
def test_what_is_not_the_file_is_refused_unread(model, tmp_path, content, capsys, link):
    altered, short, other = (tmp_path / name for name in ("altered.pth", "short.pth", "other.pth"))
    altered.write_bytes(bomb_of(len(content), tmp_path / "exploded"))
    short.write_bytes(content[:-1])
    with other.open("wb") as file:
        file.truncate(registry.info("vit_l").size)
    for path, text in (
        (altered, "altered.pth is damaged or altered: its checksum is not that of vit_b's official weights."),
        (short, "it is cut short or another file."),
        (other, "is the file of another model, vit_l. Use: sama weights take vit_l FILE"),
        (tmp_path / "none.pth", "There is no file"),
    ):
        before = path.read_bytes() if path == altered else None
        assert run("take", "vit_b", path, *link) == 1
        assert text in capsys.readouterr().err
        assert before is None or path.read_bytes() == before
    assert not (tmp_path / "exploded").exists()
    assert not paths.weights_dir().exists() or list(paths.weights_dir().iterdir()) == []


def test_verify_tells_right_from_damaged(model, checkpoint, capsys):
    assert run("verify") == 0
    assert capsys.readouterr().out == "lite: checksum right\n"
    assert run("verify", "vit_b") == 1
    assert "vit_b: not here. Fetch it with: sama weights get vit_b." in capsys.readouterr().out
    assert run("take", "vit_b", checkpoint) == 0
    assert run("verify") == 0
    data = bytearray(model.weights.read_bytes())
    data[len(data) // 2] ^= 1
    model.weights.write_bytes(data)
    capsys.readouterr()
    assert run("verify", "--json") == 1
    assert json.loads(capsys.readouterr().out) == {"ok": False, "models": {"lite": True, "vit_b": False}}
    assert run("verify", "vit_z") == 2


def test_remove_takes_the_part_too(model, checkpoint, content, capsys):
    assert run("remove", "vit_b") == 0
    assert capsys.readouterr().out == "vit_b: nothing was here\n"
    assert run("take", "vit_b", checkpoint) == 0
    part_of(model.weights).write_bytes(b"12345")
    assert run("remove", "vit_b", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"model": "vit_b", "freed": len(content) + 5}
    assert list(model.weights.parent.iterdir()) == []


def test_the_bundled_model_neither_comes_nor_goes(capsys):
    for what in ("get", "remove"):
        with pytest.raises(SystemExit) as left:
            run(what, "lite")
        assert left.value.code == 2


def test_a_folder_that_cannot_be_made_is_said(serve, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SAMA_HOME", str(tmp_path / "file" / "home"))
    assert run("get", "vit_b", "--mirror", serve().url) == 1
    assert "cannot be made" in capsys.readouterr().err
