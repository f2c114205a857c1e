"""Simulated users in batches, beside those that play one at a time."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from sama_core.data import simulated_user
from sama_core.data.simulated_user import Draw
from sama_core.prompts import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, EXCLUDE, INCLUDE, PAD


@pytest.fixture
def draw():
    return Draw(torch.Generator().manual_seed(3))


@pytest.fixture
def targets():
    masks = torch.zeros(3, 256, 256, dtype=torch.bool)
    masks[0, 100:180, 60:200] = True
    masks[1, 10:40, 10:30] = True
    masks[2, 200:256, 128:256] = True
    return masks


def test_distance_is_the_euclidean_one_up_to_its_reach():
    rng = np.random.default_rng(0)
    masks = ndimage.gaussian_filter(rng.normal(size=(3, 90, 120)), (0, 5, 5)) > 0
    got = simulated_user.distance(torch.from_numpy(masks)).numpy()
    for mask, distance in zip(masks, got, strict=True):
        expected = np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1)))[1:-1, 1:-1]
        np.testing.assert_allclose(distance, np.minimum(expected, 64), atol=1e-4)
    assert simulated_user.distance(torch.ones(1, 256, 256, dtype=torch.bool)).max() == 64


def test_first_prompts_say_what_is_so(targets, draw):
    valid = torch.ones_like(targets)
    for kind in ("click", "clicks", "box", "region"):
        given = simulated_user.first_prompts(kind, targets, valid, 512, draw, clicks=4)
        for i in range(len(targets)):
            for (x, y), label in zip(given.points[i].tolist(), given.labels[i].tolist(), strict=True):
                if label in (INCLUDE, EXCLUDE):
                    assert bool(targets[i, int(y / 2), int(x / 2)]) == (label == INCLUDE)
        labels = given.labels.tolist()
        if kind == "click":
            assert labels == [[INCLUDE, PAD]] * 3, "as the engine has it: one click and SAM's padding"
        elif kind == "clicks":
            assert given.labels.shape == (3, 5)
        elif kind == "box":
            assert labels == [[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]] * 3
            expected = torch.tensor([[120.0, 200.0], [400.0, 360.0]])
            assert ((given.points[0] - expected).abs() <= 0.151 * torch.tensor([280.0, 160.0])).all()
        else:
            assert given.has_mask.all()
            inside = given.logits[:, 0] > 0
            assert ((inside & targets).sum((1, 2)) > 0.3 * targets.sum((1, 2))).all()


def test_the_batch_clicks_where_one_robot_would(targets):
    answers = torch.full((3, 256, 256), -1.0)
    answers[0, 100:180, 60:190] = 1  # a strip is missing
    answers[1] = torch.where(targets[1], 1.0, -1.0)
    answers[1, 100:150, 100:150] = 1  # too much
    answers[2] = torch.where(targets[2], 1.0, -1.0)  # nothing is wrong
    valid = torch.ones_like(targets)
    given = simulated_user.first_prompts("click", targets, valid, 512, Draw(torch.Generator().manual_seed(1)))
    found = simulated_user.correct(given, answers, targets, valid, 512, None)
    assert found.tolist() == [True, True, False]
    for i in range(2):
        expected = simulated_user.next_click(targets[i].numpy(), answers[i].numpy() > 0, valid[i].numpy())
        assert expected is not None
        depth = simulated_user.distance((targets[i] ^ (answers[i] > 0))[None])[0]
        x, y = (given.points[i, 0] / 2 - 0.5).long().tolist()
        assert depth[y, x] == depth.max()
        assert given.labels[i, 0] == expected[2]
    assert given.labels[2, 0] == PAD
    assert torch.equal(given.logits[:, 0], answers)
    assert given.has_mask.all()


def test_errors_where_nobody_knows_are_not_clicked(targets):
    valid = ~targets
    given = simulated_user.first_prompts("click", targets, valid, 512, Draw(torch.Generator().manual_seed(1)))
    assert not simulated_user.correct(given, torch.full((3, 256, 256), -1.0), targets, valid, 512, None).any()


def test_training_clicks_vary_and_stay_in_the_error(targets, draw):
    places = set()
    for _ in range(5):
        given = simulated_user.first_prompts("click", targets, torch.ones_like(targets), 512, draw)
        simulated_user.correct(given, torch.full((3, 256, 256), -1.0), targets, torch.ones_like(targets), 512, draw)
        for i in range(3):
            x, y = (given.points[i, 0] / 2).long().tolist()
            assert targets[i, y, x]
            places.add((i, x, y))
    assert len(places) > 10


def test_an_exclude_click_on_the_neighbour(targets, draw):
    others = torch.zeros_like(targets)
    others[0, 100:180, 210:240] = True
    others[2, 195:256, 100:140] = True  # overlaps the target: only what is beside it is clicked
    given = simulated_user.first_prompts("neighbour", targets, torch.ones_like(targets), 512, draw, others=others)
    assert given.labels.tolist() == [[EXCLUDE, INCLUDE, PAD]] * 3, "beside the target where there is no other thing"
    for i in range(3):
        for (x, y), label in zip(given.points[i].tolist(), given.labels[i].tolist(), strict=True):
            place = (i, int(y / 2), int(x / 2))
            assert label == PAD or targets[place] == (label == INCLUDE)
            assert label != EXCLUDE or i == 1 or others[place]


def test_some_first_clicks_lie_at_the_very_edge(targets, draw):
    many = targets[:1].expand(64, -1, -1)
    given = simulated_user.first_prompts("click", many, torch.ones_like(many), 512, draw)
    depth = simulated_user.distance(many)
    x, y = (given.points[:, 0] / 2).long().unbind(1)
    depths = depth[torch.arange(64), y, x]
    assert (depths > 0).all()
    assert 4 <= int((depths < 0.15 * depth[0].max()).sum()) <= 24


def test_distance_is_the_same_by_either_way(targets):
    by_rows = simulated_user._distance_by_rows(targets)
    torch.testing.assert_close(simulated_user.distance(targets), by_rows, atol=1e-3, rtol=0)
