"""How many decodings a dialogue takes, counted, with a decoder that says what the test wants."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sama_core.images import Frame
from sama_core.inference.predictor import Predictor, PromptTensors, TurnCache
from sama_core.model.backbones.base import Features
from sama_core.prompts import Prompt

SIDE = 512
FRAME = Frame(SIDE, SIDE, SIDE)
DISK = np.where(np.hypot(*(np.mgrid[:256, :256] - 128)) < 100, 6.0, -6.0)
CPU = torch.device("cpu")
HERE = Features(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))


class Decoder:
    """Finds a disk, or never what the last click asks for; records each turn's number of clicks and mask prompt."""

    input_size, stretches = SIDE, False

    def __init__(self, stubborn: bool) -> None:
        self.stubborn = stubborn
        self.turns: list[tuple[int, float | None]] = []

    def embed_prompts(self, points, labels, mask, has_mask):
        # the last row stands for a box that is not there
        self.turns.append((points.shape[1] - 1, float(mask[0, 0, 0, 0]) if has_mask[0] else None))
        return None, None

    def decode(self, *_):
        logits = np.full((256, 256), -6.0) if self.stubborn else DISK.copy()
        # an answer is known by its corner
        logits[0, 0] = -7 - len(self.turns)
        tensor = torch.from_numpy(logits.astype(np.float32))[None, None]
        return SimpleNamespace(logits=tensor, iou=torch.ones(1, 1), presence=torch.ones(1))


def predictor_with(decoder: Decoder) -> Predictor:
    predictor = Predictor.__new__(Predictor)
    predictor.sam = decoder  # type: ignore[assignment]
    return predictor


def clicks_on_the_disk(count: int) -> np.ndarray:
    rng = np.random.default_rng(count)
    angle, radius = rng.uniform(0, 2 * np.pi, count), 190 * np.sqrt(rng.uniform(0, 1, count))
    return np.stack([256 + radius * np.cos(angle), 256 + radius * np.sin(angle)], 1)


def turns_of(decoder: Decoder, prompt: Prompt, dialogue: TurnCache | None = None) -> list[tuple[int, float | None]]:
    before = len(decoder.turns)
    tensors = PromptTensors(prompt.validated(SIDE, SIDE), FRAME)
    predictor_with(decoder).stock(HERE, tensors, CPU, TurnCache() if dialogue is None else dialogue)
    return decoder.turns[before:]


@pytest.mark.parametrize(("count", "decodings"), [(1, 1), (10, 2), (30, 2), (100, 2), (256, 2)])
def test_clicks_that_the_answer_obeys_need_no_decoding_of_their_own(count, decodings):
    turns = turns_of(Decoder(stubborn=False), Prompt(clicks_on_the_disk(count), [1] * count))
    assert len(turns) == decodings
    assert turns[-1][0] == count, "the last decoding sees all clicks"


@pytest.mark.parametrize(("count", "decodings"), [(1, 1), (10, 9), (30, 12), (100, 14), (256, 15)])
def test_clicks_that_are_always_contradicted_are_answered_together(count, decodings):
    turns = turns_of(Decoder(stubborn=True), Prompt(clicks_on_the_disk(count), [1] * count))
    assert len(turns) == decodings
    assert [clicks for clicks, _ in turns[:8]] == list(range(1, min(count, 8) + 1))
    assert turns[-1][0] == count


def test_a_correction_among_obeyed_clicks_has_a_turn_of_its_own():
    points = clicks_on_the_disk(40)
    points[20] = (5, 5)
    turns = turns_of(Decoder(stubborn=False), Prompt(points, [1] * 40))
    assert [clicks for clicks, _ in turns] == [1, 21, 40]
    # each turn is given the answer of the one before
    assert [mask for _, mask in turns] == [None, -8, -9]


def clicks_before(turn: tuple[int, float | None], turns: list[tuple[int, float | None]]) -> int:
    """How many clicks the answer that a turn was given as its mask prompt was asked with."""
    corner = turn[1]
    assert corner is not None
    return turns[round(-7 - corner) - 1][0]


@pytest.mark.parametrize("stubborn", [False, True])
def test_one_click_more_costs_one_decoding_and_asks_the_same_as_all_at_once(stubborn):
    points, labels = clicks_on_the_disk(40), [1] * 40
    decoder, dialogue = Decoder(stubborn), TurnCache()
    costs = [len(turns_of(decoder, Prompt(points[:n], labels[:n]), dialogue)) for n in range(1, 41)]
    assert set(costs) == {1}
    grown = decoder.turns[-1]
    fresh = turns_of(Decoder(stubborn), Prompt(points, labels))
    assert grown[0] == fresh[-1][0] == 40
    assert grown[1] is not None and fresh[-1][1] is not None
    # the mask prompt is the answer to the same number of clicks
    assert clicks_before(grown, decoder.turns) == clicks_before(fresh[-1], fresh)


def test_an_earlier_answer_is_asked_about_once_and_a_box_begins_the_dialogue():
    points, labels = clicks_on_the_disk(50), [1] * 50
    earlier = np.zeros((256, 256), np.float32)
    assert [clicks for clicks, _ in turns_of(Decoder(True), Prompt(points, labels, low_res_logits=earlier))] == [50]
    # a box has two corners, of which the decoder's count takes one for padding
    assert [clicks for clicks, _ in turns_of(Decoder(False), Prompt(points, labels, box=(60, 60, 450, 450)))] == [1, 51]
