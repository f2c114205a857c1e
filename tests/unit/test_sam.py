import numpy as np
import pytest
import torch

from sama_core.model.prompt_maps import draw
from sama_core.prompts import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, EXCLUDE, INCLUDE, PAD
from sama_core.weights import registry


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return registry.build("lite").eval()


def test_the_backbone_gives_sams_grid_and_its_early_channels(sam):
    with torch.inference_mode():
        features = sam.encode(torch.zeros(1, 3, sam.input_size, sam.input_size))
    assert features.embedding.shape == (1, 256, 64, 64)
    assert features.early.shape == (1, sam.backbone.early_channels, 64, 64)


@pytest.mark.parametrize("with_box", [False, True])
def test_prompts_are_embedded_as_segment_anything_embeds_them(sam, with_box):
    points = torch.tensor([[[100.0, 50.0], [300.0, 200.0]]])
    labels = torch.tensor([[INCLUDE, EXCLUDE]])
    mask = torch.randn(1, 1, 256, 256)
    box = torch.tensor([[20.0, 30.0, 400.0, 500.0]])
    corners = box.view(1, 2, 2) if with_box else torch.zeros(1, 1, 2)
    corner_labels = torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]]) if with_box else torch.tensor([[PAD]])
    with torch.inference_mode():
        # segment_anything counts pixel centres from 0 and adds the half itself
        theirs = sam.prompt_encoder((points - 0.5, labels), box - 0.5 if with_box else None, mask)
        ours = sam.embed_prompts(
            torch.cat([points, corners], 1), torch.cat([labels, corner_labels], 1), mask, torch.tensor([True])
        )
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1])


def test_decoding_one_image_is_segment_anythings_decoding(sam):
    embedding = torch.randn(1, 256, 64, 64)
    with torch.inference_mode():
        sparse, dense = sam.prompt_encoder((torch.tensor([[[9.0, 80.0]]]), torch.tensor([[1]])), None, None)
        theirs = sam.mask_decoder.predict_masks(embedding, sam.prompt_encoder.get_dense_pe(), sparse, dense)
        ours = sam.decode(embedding, sparse, dense)
    torch.testing.assert_close(ours.logits, theirs[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.iou, theirs[1], atol=1e-5, rtol=1e-5)


def test_a_batch_answers_each_image_as_it_would_alone(sam):
    embedding = torch.randn(3, 256, 64, 64)
    points = torch.rand(3, 2, 2) * 512
    labels = torch.tensor([[INCLUDE, PAD], [INCLUDE, EXCLUDE], [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]])
    masks, has_mask = torch.randn(3, 1, 256, 256), torch.tensor([False, True, False])
    with torch.inference_mode():
        together = sam.decode(embedding, *sam.embed_prompts(points, labels, masks, has_mask))
        for i in range(3):
            one = slice(i, i + 1)
            alone = sam.decode(embedding[one], *sam.embed_prompts(points[one], labels[one], masks[one], has_mask[one]))
            torch.testing.assert_close(together.logits[one], alone.logits, atol=1e-4, rtol=1e-4)


def test_padding_is_zero_after_normalisation(sam):
    x = sam.normalise(torch.full((1, 3, 100, 512), 255.0))
    assert x.shape == (1, 3, 512, 512)
    assert x[:, :, 100:].abs().max() == 0
    np.testing.assert_allclose(x[0, 0, 0, 0].item(), 1.0)


def test_an_unknown_model_is_named():
    with pytest.raises(registry.UnknownModel, match=r"no model named “huge”\. Choose one of: lite"):
        registry.build("huge")


def test_clicks_and_boxes_are_drawn_where_they_are():
    points = torch.tensor([[[20.5, 40.5], [200.0, 30.0], [60.0, 70.0], [90.0, 100.0]]])
    labels = torch.tensor([[INCLUDE, EXCLUDE, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]])
    include, exclude, box = draw(points, labels)[0]
    ys, xs = torch.nonzero(include, as_tuple=True)
    assert (xs.float().mean().item(), ys.float().mean().item()) == (20, 40)
    assert include.sum() == pytest.approx(torch.pi * 16, rel=0.1)
    assert exclude[30, 200] == 1
    assert exclude[40, 20] == 0
    assert (box[70:100, 60:90] == 1).all()
    assert (box == 1).sum() == 30 * 30
    assert (box == -1).sum() == 256 * 256 - 900


def test_padding_draws_nothing():
    assert draw(torch.zeros(2, 3, 2), torch.full((2, 3), PAD)).abs().max() == 0


def test_an_untrained_mixer_changes_nothing_and_a_trained_one_reaches_across_the_picture():
    from sama_core.model.prompt_mixer import PromptMixer

    torch.manual_seed(0)
    mixer = PromptMixer().eval()
    image = torch.randn(1, 256, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(mixer(image), image)
        for block in mixer.blocks:
            torch.nn.init.normal_(block[-1].weight, std=0.1)  # type: ignore[index]
        prompted = image.clone()
        prompted[0, :, 32, 32] += torch.randn(256)
        moved = (mixer(prompted) - mixer(image)).abs().amax(1)[0] > 1e-6
    assert moved[32, 20]
    assert moved[18, 32]
    assert not moved[0, 0], "fifteen cells in each direction, no further"
