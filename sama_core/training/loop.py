"""The training loop of the promptable `lite` SAM: one process, CPU or one GPU, resumable."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from sama_core.model.backbones.lite import LiteBackbone
from sama_core.model.registry import build
from sama_core.model.sam import Decoded
from sama_core.training.config import TrainConfig
from sama_core.training.datasets import Entry, Sample, cut_sample, load_objects, load_rgb
from sama_core.training.imagenet import imagenet_weights
from sama_core.training.losses import iou_of, structure_loss
from sama_core.training.prompts import SimulatedPrompt, correct, first_prompt, to_arrays


class SampleStream(Dataset):
    """An endless shuffled stream of samples; the i-th one depends on (seed, i) alone, so a resumed run sees what
    it would have."""

    def __init__(self, entries: list[Entry], config: TrainConfig, size: int, length: int) -> None:
        self.entries, self.config, self.size, self.length = entries, config, size, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        epoch, offset = divmod(index, len(self.entries))
        order = np.random.default_rng((self.config.seed, epoch)).permutation(len(self.entries))
        rng = np.random.default_rng((self.config.seed, 1, index))
        position = order[offset]
        while True:
            entry = self.entries[position]
            objects = load_objects(entry)
            sample = (
                cut_sample(load_rgb(entry.image), objects, self.config.prompts, self.size, rng) if objects else None
            )
            if sample is not None:
                return sample
            position = rng.integers(len(self.entries))


def _collate(samples: list[Sample]) -> tuple[list[Sample], np.ndarray, np.ndarray]:
    return samples, np.concatenate([s.targets for s in samples]), np.concatenate([s.valid for s in samples])


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(1)


class Trainer:
    """One run in one folder: `config.json`, `log.jsonl`, `last.pt`, `samples/`, and `ema.safetensors` at the end."""

    def __init__(
        self,
        entries: list[Entry],
        config: TrainConfig,
        folder: Path,
        device: str = "cpu",
        start: Path | None = None,
    ) -> None:
        self.config, self.folder, self.device = config, folder, torch.device(device)
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        self.model = build("lite")
        assert isinstance(self.model.backbone, LiteBackbone)
        self.body = body = self.model.backbone.body
        known = {name: tensor for name, tensor in imagenet_weights().items() if name in body.state_dict()}
        body.load_state_dict(known)
        if start is not None:
            from sama_core.weights.files import load_weights

            load_weights(self.model, start)
        self.model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for name, parameter in body.named_parameters():
            parameter.requires_grad_(not name.startswith(config.frozen))
        self.ema = {k: v.detach().clone().float() for k, v in self.model.state_dict().items()}
        # in the network's own order: a resumed optimiser finds its moments by position
        in_body = [p for p in body.parameters() if p.requires_grad]
        elsewhere = [p for name, p in self.model.named_parameters() if not name.startswith("backbone.body.")]
        groups = [
            {"params": in_body, "lr": config.learning_rate * config.body_rate},
            {"params": elsewhere, "lr": config.learning_rate},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        self.base_rates = [group["lr"] for group in groups]
        self.step = 0
        self.entries = entries
        (folder / "config.json").write_text(json.dumps(dataclasses.asdict(config), indent=1) + "\n")
        if (folder / "last.pt").exists():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self.folder / "last.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema, self.step = state["ema"], state["step"]

    def save(self) -> None:
        """Write `last.pt` whole or not at all."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema,
            "step": self.step,
        }
        temporary = self.folder / "last.pt.tmp"
        torch.save(state, temporary)
        temporary.replace(self.folder / "last.pt")

    def run(self) -> None:
        """Train to `config.steps`; an interrupt loses at most `config.checkpoint_every` steps."""
        config = self.config
        stream = SampleStream(self.entries, config, self.model.input_size, config.steps * config.images)
        loader = DataLoader(
            stream,
            batch_size=config.images,
            sampler=range(self.step * config.images, len(stream)),
            num_workers=1,
            prefetch_factor=4,
            collate_fn=_collate,
            worker_init_fn=_one_thread,
            # a forked worker would inherit OpenCV's and OpenMP's locks, held by threads that it has not
            multiprocessing_context="spawn",
        )
        began = time.time()
        with (self.folder / "log.jsonl").open("a") as log:
            for samples, targets, valid in loader:
                row = self._train_step(samples, targets, valid)
                row.update(step=self.step, seconds=round(time.time() - began, 1))
                log.write(json.dumps(row) + "\n")
                log.flush()
                if self.step % config.checkpoint_every == 0 or self.step == config.steps:
                    self.save()
        from sama_core.weights.files import save_weights

        save_weights(self.ema, self.folder / "ema.safetensors", {"model": "lite", "steps": str(self.step)})

    def _rate(self) -> float:
        config = self.config
        if self.step < config.warmup:
            return (self.step + 1) / config.warmup
        return 0.5 * (1 + math.cos(math.pi * (self.step - config.warmup) / max(1, config.steps - config.warmup)))

    def _set_mode(self) -> None:
        self.model.train()
        # a handful of photos is too few to estimate statistics from: keep ImageNet's
        for module in self.body.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    def _decode(self, embedding: torch.Tensor, prompts: list[SimulatedPrompt]) -> Decoded:
        arrays = [torch.from_numpy(array).to(self.device) for array in to_arrays(prompts)]
        return self.model.decode(embedding, *self.model.embed_prompts(*arrays))

    def _train_step(self, samples: list[Sample], targets_np: np.ndarray, valid_np: np.ndarray) -> dict[str, float]:
        config, size = self.config, self.model.input_size
        rng = np.random.default_rng((config.seed, 2, self.step))
        self._set_mode()
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * self._rate()
        pixels = torch.from_numpy(np.stack([s.pixels for s in samples]).transpose(0, 3, 1, 2)).to(self.device)
        inside = torch.zeros(len(samples), 1, size, size, device=self.device)
        for i, sample in enumerate(samples):
            inside[i, :, : sample.height, : sample.width] = 1
        x = (self.model.normalise(pixels) * inside).contiguous(memory_format=torch.channels_last)
        targets = torch.from_numpy(targets_np).to(self.device)
        valid = torch.from_numpy(valid_np).to(self.device)
        truth, known = targets_np > 0.5, valid_np > 0
        prompts = [first_prompt(t, k, size, rng) for t, k in zip(truth, known, strict=True)]
        rounds = int(rng.choice(config.extra_rounds))
        with torch.autocast(self.device.type, torch.bfloat16):
            features = self.model.encode(x)
            embedding = features.embedding.repeat_interleave(config.prompts, dim=0)
            with torch.no_grad():
                for _ in range(rounds):
                    answer = self._decode(embedding, prompts).logits[:, 0].float().cpu().numpy()
                    correct(prompts, answer, truth, known, size, rng)
            decoded = self._decode(embedding, prompts)
        logits = decoded.logits.float()
        single = structure_loss(logits[:, 0], targets, valid)
        losses = {"mask": single.mean()}
        if rounds == 0:
            # alternatives are trained as in SAM: only the best of the three learns from an ambiguous first prompt
            repeated = [t.repeat_interleave(3, dim=0) for t in (targets, valid)]
            three = structure_loss(logits[:, 1:].flatten(0, 1), *repeated).view(-1, 3)
            losses["multimask"] = config.multimask_weight * three.min(dim=1).values.mean()
        with torch.no_grad():
            actual = iou_of(logits, targets.unsqueeze(1), valid.unsqueeze(1))
        losses["iou"] = config.iou_weight * (decoded.iou.float() - actual).square().mean()
        total = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.requires_grad], config.clip_norm)
        self.optimizer.step()
        self.step += 1
        self._average()
        if self.step % config.sample_every == 0:
            self._save_picture(samples, logits[:, 0].detach().cpu().numpy(), prompts)
        row = {name: round(value.item(), 4) for name, value in losses.items()}
        return row | {"miou": round(float(actual[:, 0].mean()), 4), "rounds": rounds}

    def _average(self) -> None:
        # a young average would remember the random start
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for name, tensor in self.model.state_dict().items():
            if tensor.dtype.is_floating_point:
                self.ema[name].lerp_(tensor.detach().float(), 1 - decay)

    def _save_picture(self, samples: list[Sample], answer: np.ndarray, prompts: list[SimulatedPrompt]) -> None:
        folder = self.folder / "samples"
        folder.mkdir(exist_ok=True)
        tiles = []
        for i in range(min(8, len(prompts))):
            sample = samples[i // self.config.prompts]
            picture = np.ascontiguousarray(sample.pixels[..., ::-1].astype(np.uint8))
            size = picture.shape[0]
            mask = cv2.resize(answer[i], (size, size)) > 0
            contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, contours, -1, (0, 255, 255), 2)
            target = cv2.resize(sample.targets[i % self.config.prompts], (size, size)) > 0.5
            contours, _ = cv2.findContours(target.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, contours, -1, (0, 255, 0), 1)
            for (px, py), label in zip(prompts[i].points, prompts[i].labels, strict=True):
                cv2.circle(picture, (round(px), round(py)), 6, (255, 80, 0) if label else (0, 0, 255), -1)
            tiles.append(cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA))
        while len(tiles) % 4:
            tiles.append(np.zeros_like(tiles[0]))
        rows = [np.hstack(tiles[i : i + 4]) for i in range(0, len(tiles), 4)]
        cv2.imwrite(str(folder / f"{self.step:06d}.jpg"), np.vstack(rows))
