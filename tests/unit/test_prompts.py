import numpy as np
import pytest

from sama_core.errors import InvalidPrompt
from sama_core.prompts import MAX_POINTS, Prompt


def test_a_prompt_becomes_arrays_and_keeps_its_clicks():
    prompt = Prompt([(1.5, 2), (30, 19)], [1, 0], box=(40, 30, 2, 3)).validated(20, 40)
    assert np.asarray(prompt.points).tolist() == [[1.5, 2.0], [30.0, 19.0]]
    assert np.asarray(prompt.labels).tolist() == [1, 0]
    assert np.asarray(prompt.box).tolist() == [2, 3, 40, 20], "corners in any order, clipped to the picture"


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (Prompt(), "nothing to go on"),
        (Prompt([(3, 3)], [0]), "only exclude clicks"),
        (Prompt([(3, 3)], [1, 1]), "1 clicks but 2 labels"),
        (Prompt([(3, 3)], [2]), "label must be"),
        (Prompt([(np.nan, 3)], [1]), "not a number"),
        (Prompt([(3, 3), (41, 3)], [1, 1]), "1 of 2 clicks lie outside"),
        (Prompt([(1, 1)] * (MAX_POINTS + 1), [1] * (MAX_POINTS + 1)), "too many"),
        (Prompt([(3, 3)], [0.5]), "label must be"),
        (Prompt([(3, 3)], ["a"]), "label must be"),
        (Prompt([(3,)], [1]), "two numbers"),
        (Prompt([(3, 3), (3,)], [1, 1]), "two numbers"),
        (Prompt(False, [1]), "two numbers"),  # type: ignore[arg-type]
        (Prompt([(10**400, 3)], [1]), "two numbers"),
        (Prompt([(1e39, 3)], [1]), "not a number"),
        (Prompt(box=("a", 1, 2, 3)), "four numbers"),
        (Prompt(mask=np.full((20, 40), "a")), "one value of 8 bits"),
        (Prompt(box=(50, 50, 60, 60)), "outside the picture"),
        (Prompt(box=(1, 1, 5)), "four numbers"),
        (Prompt(mask=np.zeros((20, 40), bool)), "mask is empty"),
        (Prompt(mask=np.ones((20, 41), bool)), "same size"),
        (Prompt([(3, 3)], [1], low_res_logits=np.zeros((64, 64))), "256×256"),
        (Prompt([(3, 3)], [1], low_res_logits=np.full((256, 256), np.inf)), "256×256"),
    ],
)
def test_an_unusable_prompt_says_what_to_do(prompt, words):
    with pytest.raises(InvalidPrompt, match=words):
        prompt.validated(20, 40)


def test_a_mask_of_bytes_is_inside_above_127():
    mask = np.array([[0, 127, 128, 255]], np.uint8)
    assert np.asarray(Prompt(mask=mask).validated(1, 4).mask).tolist() == [[False, False, True, True]]


def test_a_digest_tells_prompts_apart():
    mask = np.zeros((20, 30), bool)
    mask[3:9, 4:8] = True
    prompts = [
        Prompt([(3, 4)], [1]),
        Prompt([(3, 4), (5, 6)], [1, 0]),
        Prompt([(4, 3)], [1]),
        Prompt([(3, 4), (5, 6)], [1, 1]),
        Prompt(box=(3, 4, 9, 9)),
        Prompt([(3, 4)], [1], (3, 4, 9, 9)),
        Prompt([(3, 4)], [1], mask=mask),
        Prompt([(3, 4)], [1], mask=~mask),
        Prompt([(3, 4)], [1], low_res_logits=np.zeros((256, 256), np.float32)),
    ]
    digests = [prompt.validated(20, 30).digest() for prompt in prompts]
    assert len(set(digests)) == len(prompts)
    assert [prompt.validated(20, 30).digest() for prompt in prompts] == digests
    assert Prompt([(3.0, 4.0)], [True]).validated(20, 30).digest() == digests[0]
