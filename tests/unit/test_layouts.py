"""Every known data set, as a tiny tree of empty files in the folders it unpacks to."""

import pytest

from sama_core.data.layouts import LAYOUTS, layout_names
from sama_core.data.pairs import Pair, detect_layout, find_pairs
from sama_core.errors import DatasetError

THIN = "thin_object_detection"
ADOBE = "Training_set/Adobe-licensed images"
ADOBE_TEST = "Test_set/Adobe-licensed images"


def plant(root, *names):
    for name in names:
        plant_text(root, name, "")


def plant_text(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def described(root, pairs):
    """Pairs with their paths relative to the root, as tuples."""

    def relative(path):
        return path and path.relative_to(root).as_posix()

    return [
        (
            pair.name,
            relative(pair.image),
            relative(pair.target),
            pair.kind,
            *(relative(path) for path in (pair.trimap, pair.foreground) if path),
        )
        for pair in pairs
    ]


def dis5k(root):
    for folder in ("TR", "VD", "TE1", "TE2", "TE3", "TE4"):
        plant(root, f"DIS-{folder}/im/1#Art#{folder}.jpg", f"DIS-{folder}/gt/1#Art#{folder}.png")


def thinobject_original(root):
    for name in ("axe", "bike", "comb"):
        plant(root, f"images/{name}.jpg", f"masks/{name}.png")
    plant_text(root, "list/train.txt", "axe.jpg\nbike.jpg\n")
    plant_text(root, "list/test.txt", "comb\r\n")


def thinobject_hq_sam(root):
    plant(root, "images_train/axe.jpg", "masks_train/axe.png", "images_test/comb.jpg", "masks_test/comb.png")


def composition1k(root):
    plant(root, f"{ADOBE}/fg/a.jpg", f"{ADOBE}/alpha/a.jpg", f"{ADOBE}/fg/unlisted.jpg")
    plant(root, "Training_set/Other/fg/b.png", "Training_set/Other/alpha/b.png")
    plant_text(root, "Training_set/training_fg_names.txt", "a.jpg\nb.png\n")
    plant(root, f"{ADOBE_TEST}/fg/horse_19.png", f"{ADOBE_TEST}/alpha/horse_19.png")
    for number in (0, 1):
        plant(root, f"Test_set/merged/horse_19_{number}.png", f"{ADOBE_TEST}/trimaps/horse_19_{number}.png")
    plant_text(root, "Test_set/test_fg_names.txt", "horse_19.png")


def aim500(root):
    plant(root, "original/o_1.jpg", "mask/o_1.png", "trimap/o_1.png", "usr/o_1.png")


def am2k(root):
    plant(root, "train/original/m_1.jpg", "train/mask/m_1.png", "train/fg/m_1.png", "train/bg/m_1.png")
    plant(root, "validation/original/m_2.jpg", "validation/mask/m_2.png", "validation/trimap/m_2.png")


def p3m10k(root):
    plant(root, "train/blurred_image/p_1.jpg", "train/mask/p_1.png", "train/facemask/p_1.png")
    for half, folder in (("P", "blurred_image"), ("NP", "original_image")):
        base = f"validation/P3M-500-{half}"
        plant(root, f"{base}/{folder}/p_{half}.jpg", f"{base}/mask/p_{half}.png", f"{base}/trimap/p_{half}.png")


def refmatte(root):
    plant(root, "train/img/r.jpg", "train/mask/r_0.png", "train/mask/r_1.png", "train/refmatte_train_label.json")
    plant(root, "test/img/s.jpg", "test/mask/s_0.png")


def refmatte_rw100(root):
    plant(root, "image/w.jpg", "image_all/w_0.jpg", "image_all/w_1.jpg", "mask/w_0.png", "mask/w_1.png")


def distinctions646(root):
    plant(root, "Train/FG/1.png", "Train/GT/1.png", "Train/bg_train.txt", "Test/FG/2.png", "Test/GT/2.png")


TREES = {
    "dis5k": ("DIS5K", dis5k),
    "thinobject5k": ("ThinObject5K", thinobject_hq_sam),
    "coift": ("COIFT", lambda root: plant(root, "images/c.jpg", "masks/c.png")),
    "hrsod": ("HRSOD", lambda root: plant(root, "images/h.jpg", "masks_max255/h.png")),
    "composition1k": ("Combined_Dataset", composition1k),
    "aim500": ("AIM-500", aim500),
    "am2k": ("AM-2k", am2k),
    "p3m10k": ("P3M-10k", p3m10k),
    "refmatte": ("RefMatte", refmatte),
    "refmatte-rw100": ("RefMatte_RW_100", refmatte_rw100),
    "distinctions646": ("Distinctions-646", distinctions646),
}


@pytest.fixture(params=sorted(TREES))
def tree(request, tmp_path):
    folder, make = TREES[request.param]
    make(tmp_path / folder)
    return request.param, tmp_path / folder


def test_every_known_set_has_a_tree_here():
    assert set(TREES) == set(LAYOUTS)


def test_a_set_is_recognised_from_its_folder_and_from_the_folder_around_it(tree):
    name, root = tree
    assert detect_layout(root) == name
    assert detect_layout(root.parent) == name


def test_a_set_is_found_from_the_folder_around_it_and_two_above(tree):
    name, root = tree
    split = next(iter(LAYOUTS[name].splits))
    pairs = find_pairs(root, name, split)
    assert pairs
    assert find_pairs(root.parent, name, split) == pairs
    nested = root.parent / "nested" / root.name / root.name
    nested.parent.mkdir(parents=True)
    root.rename(nested)
    assert len(find_pairs(root.parent / "nested", name, split)) == len(pairs)


def test_dis5k(tmp_path):
    dis5k(tmp_path)
    assert described(tmp_path, find_pairs(tmp_path, "DIS5K", "train")) == [
        ("1#Art#TR", "DIS-TR/im/1#Art#TR.jpg", "DIS-TR/gt/1#Art#TR.png", "mask")
    ]
    assert [pair.name for pair in find_pairs(tmp_path, "dis-5k", "val")] == ["1#Art#VD"]
    assert [pair.name for pair in find_pairs(tmp_path, "dis5k", "te3")] == ["1#Art#TE3"]
    assert [pair.name for pair in find_pairs(tmp_path, "dis5k", "test")] == [f"1#Art#TE{i}" for i in (1, 2, 3, 4)]


def test_thinobject5k_as_first_released_is_split_by_its_lists(tmp_path):
    thinobject_original(tmp_path)
    assert detect_layout(tmp_path) == "thinobject5k"
    assert described(tmp_path, find_pairs(tmp_path, "thinobject5k", "train")) == [
        ("axe", "images/axe.jpg", "masks/axe.png", "mask"),
        ("bike", "images/bike.jpg", "masks/bike.png", "mask"),
    ]
    assert [pair.name for pair in find_pairs(tmp_path, "thinobject5k", "test")] == ["comb"]
    with pytest.raises(DatasetError, match=r"no 'val' split.*images_val.*list/val\.txt"):
        find_pairs(tmp_path, "thinobject5k", "val")


def test_the_three_sets_of_hq_sams_folder(tmp_path):
    thinobject_hq_sam(tmp_path / THIN / "ThinObject5K")
    plant(tmp_path / THIN / "COIFT", "images/c.jpg", "masks/c.png")
    plant(tmp_path / THIN / "HRSOD", "images/h.jpg", "masks/h.png", "masks_max255/h.png")
    assert described(tmp_path / THIN, find_pairs(tmp_path, "thinobject5k", "train")) == [
        ("axe", "ThinObject5K/images_train/axe.jpg", "ThinObject5K/masks_train/axe.png", "mask")
    ]
    for root in (tmp_path, tmp_path / THIN, tmp_path / THIN / "COIFT"):
        assert [pair.name for pair in find_pairs(root, "coift", "test")] == ["c"]
    assert described(tmp_path / THIN, find_pairs(tmp_path, "hrsod", "test")) == [
        ("h", "HRSOD/images/h.jpg", "HRSOD/masks_max255/h.png", "mask")
    ]
    with pytest.raises(DatasetError, match="several sets: thinobject5k, coift, hrsod"):
        detect_layout(tmp_path / THIN)


def test_adobes_training_set_is_foregrounds_in_two_folders(tmp_path):
    composition1k(tmp_path)
    assert find_pairs(tmp_path, "aim", "train") == [
        Pair("a", None, tmp_path / ADOBE / "alpha/a.jpg", "alpha", None, tmp_path / ADOBE / "fg/a.jpg"),
        Pair(
            "b",
            None,
            tmp_path / "Training_set/Other/alpha/b.png",
            "alpha",
            None,
            tmp_path / "Training_set/Other/fg/b.png",
        ),
    ]


def test_adobes_composites_share_the_alpha_and_have_their_own_trimaps(tmp_path):
    composition1k(tmp_path)
    alpha = f"{ADOBE_TEST}/alpha/horse_19.png"
    assert described(tmp_path, find_pairs(tmp_path, "Composition-1K", "test")) == [
        (f"horse_19_{i}", f"Test_set/merged/horse_19_{i}.png", alpha, "alpha", f"{ADOBE_TEST}/trimaps/horse_19_{i}.png")
        for i in (0, 1)
    ]
    assert [pair.image for pair in find_pairs(tmp_path, "composition1k", "test-foregrounds")] == [None]


def test_the_test_set_others_prepared_repeats_the_alpha(tmp_path):
    names = [f"{folder}/horse_19_{i}.png" for folder in ("merged", "alpha_copy", "trimaps") for i in (0, 1)]
    plant(tmp_path, *names)
    assert detect_layout(tmp_path) == "composition1k"
    assert described(tmp_path, find_pairs(tmp_path, "composition1k", "test"))[1] == (
        "horse_19_1",
        "merged/horse_19_1.png",
        "alpha_copy/horse_19_1.png",
        "alpha",
        "trimaps/horse_19_1.png",
    )


def test_test_foregrounds_that_were_not_composited_are_told_apart_from_a_wrong_folder(tmp_path):
    distinctions646(tmp_path)
    with pytest.raises(DatasetError, match="Composite the test foregrounds"):
        find_pairs(tmp_path, "distinctions646", "test")
    with pytest.raises(DatasetError, match="Unpack the set there"):
        find_pairs(tmp_path, "composition1k", "test")


def test_distinctions_646(tmp_path):
    distinctions646(tmp_path)
    assert described(tmp_path, find_pairs(tmp_path, "Distinctions-646", "train")) == [
        ("1", None, "Train/GT/1.png", "alpha", "Train/FG/1.png")
    ]
    plant(tmp_path, "Test/merged/2_0.png", "Test/merged/2_1.png")
    assert described(tmp_path, find_pairs(tmp_path, "distinctions646", "test")) == [
        (f"2_{i}", f"Test/merged/2_{i}.png", "Test/GT/2.png", "alpha", "Test/FG/2.png") for i in (0, 1)
    ]


def test_folder_names_may_differ_in_case(tmp_path):
    plant(tmp_path, "train/fg/1.png", "train/alpha/1.png")
    assert len(find_pairs(tmp_path, "distinctions646", "train")) == 1


def test_aim500(tmp_path):
    aim500(tmp_path)
    expected = [("o_1", "original/o_1.jpg", "mask/o_1.png", "alpha", "trimap/o_1.png")]
    assert described(tmp_path, find_pairs(tmp_path, "AIM-500", "train")) == expected
    assert described(tmp_path, find_pairs(tmp_path, "aim500", "test")) == expected


def test_am2k(tmp_path):
    am2k(tmp_path)
    assert described(tmp_path, find_pairs(tmp_path, "AM-2K", "train")) == [
        ("m_1", "train/original/m_1.jpg", "train/mask/m_1.png", "alpha", "train/fg/m_1.png")
    ]
    assert described(tmp_path, find_pairs(tmp_path, "am2k", "val")) == [
        ("m_2", "validation/original/m_2.jpg", "validation/mask/m_2.png", "alpha", "validation/trimap/m_2.png")
    ]


def test_p3m10k(tmp_path):
    p3m10k(tmp_path)
    assert described(tmp_path, find_pairs(tmp_path, "P3M-10K", "train")) == [
        ("p_1", "train/blurred_image/p_1.jpg", "train/mask/p_1.png", "alpha")
    ]
    pairs = described(tmp_path, find_pairs(tmp_path, "p3m10k", "val"))
    assert [pair[1] for pair in pairs] == [
        "validation/P3M-500-P/blurred_image/p_P.jpg",
        "validation/P3M-500-NP/original_image/p_NP.jpg",
    ]
    assert described(tmp_path, find_pairs(tmp_path, "p3m10k", "val-np")) == pairs[1:]
    plant(tmp_path, "train/original_image/p_1.jpg")
    sharp = find_pairs(tmp_path, "p3m10k", "train")[0].image
    assert sharp == tmp_path / "train/original_image/p_1.jpg", "a photo with its face is preferred"


def test_refmatte_has_several_mattes_of_a_photo(tmp_path):
    refmatte(tmp_path)
    assert described(tmp_path, find_pairs(tmp_path, "RefMatte", "train")) == [
        ("r_0", "train/img/r.jpg", "train/mask/r_0.png", "alpha"),
        ("r_1", "train/img/r.jpg", "train/mask/r_1.png", "alpha"),
    ]


def test_refmatte_rw100_in_both_of_its_folders(tmp_path):
    refmatte_rw100(tmp_path)
    by_photo = described(tmp_path, find_pairs(tmp_path, "RefMatte_RW_100", "test"))
    assert by_photo[1] == ("w_1", "image/w.jpg", "mask/w_1.png", "alpha")
    (tmp_path / "image").rename(tmp_path / "elsewhere")
    by_target = described(tmp_path, find_pairs(tmp_path, "rw100", "test"))
    assert by_target[1] == ("w_1", "image_all/w_1.jpg", "mask/w_1.png", "alpha")


def test_a_plain_folder_of_masks_and_mattes(tmp_path):
    plant(tmp_path, "images/a.jpg", "images/b.webp", "masks/a.png", "alphas/b.png", "trimaps/b.png", "images/.DS_Store")
    assert detect_layout(tmp_path) == "plain"
    everything = [
        ("a", "images/a.jpg", "masks/a.png", "mask"),
        ("b", "images/b.webp", "alphas/b.png", "alpha", "trimaps/b.png"),
    ]
    assert described(tmp_path, find_pairs(tmp_path, "plain", "train")) == everything
    plant_text(tmp_path, "val.txt", "b\n")
    assert described(tmp_path, find_pairs(tmp_path, "plain", "val")) == everything[1:]


def test_a_plain_folder_split_into_folders(tmp_path):
    plant(tmp_path, "train/images/a.jpg", "train/masks/a.png", "val/images/b.jpg", "val/masks/b.png")
    assert detect_layout(tmp_path) == "plain"
    assert [pair.name for pair in find_pairs(tmp_path, "plain", "val")] == ["b"]


def test_the_projects_own_root(tmp_path):
    plant(tmp_path, "sel/images/a.webp", "sel/masks/a.png", "sel/images/b.webp", "sel/masks/b.png")
    plant(tmp_path, "mat/images/c.webp", "mat/alphas/c.png", "mat/trimaps/c.png")
    plant_text(tmp_path, "split.csv", "set,name,split\nsel,a,train\nsel,b,val\nmat,c,train\n")
    assert detect_layout(tmp_path) == "split-csv"
    assert described(tmp_path, find_pairs(tmp_path, "split-csv", "train")) == [
        ("c", "mat/images/c.webp", "mat/alphas/c.png", "alpha", "mat/trimaps/c.png"),
        ("a", "sel/images/a.webp", "sel/masks/a.png", "mask"),
    ]
    with pytest.raises(DatasetError, match=r"no photo of split 'test'. It has train, val"):
        find_pairs(tmp_path, "split-csv", "test")
    plant_text(tmp_path, "split.csv", "set,name,split\nsel,lost,train\n")
    with pytest.raises(DatasetError, match="sel train: 1 listed name has no files, first lost"):
        find_pairs(tmp_path, "split-csv", "train")


def test_missing_files_are_counted_and_the_first_is_named(tmp_path):
    dis5k(tmp_path)
    plant(tmp_path, "DIS-TR/im/2.jpg", "DIS-TR/im/3.jpg")
    with pytest.raises(DatasetError, match=r"DIS5K train: 2 photos have no mask, first 2\.jpg"):
        find_pairs(tmp_path, "dis5k", "train")
    plant(tmp_path, "DIS-VD/gt/4.png")
    with pytest.raises(DatasetError, match=r"1 mask has no photo, first 4\.png"):
        find_pairs(tmp_path, "dis5k", "val")


def test_a_listed_foreground_that_is_missing_is_named(tmp_path):
    composition1k(tmp_path)
    plant_text(tmp_path, "Training_set/training_fg_names.txt", "a.jpg\ngone.png\n")
    with pytest.raises(DatasetError, match="1 listed name has no files, first gone"):
        find_pairs(tmp_path, "aim", "train")


def test_two_files_of_one_name_are_not_guessed_between(tmp_path):
    dis5k(tmp_path)
    plant(tmp_path, "DIS-TR/im/1#Art#TR.png")
    with pytest.raises(DatasetError, match=r"has both 1#Art#TR\.jpg and 1#Art#TR\.png"):
        find_pairs(tmp_path, "dis5k", "train")


def test_wrong_folders_layouts_and_splits_say_what_is_right(tmp_path):
    with pytest.raises(DatasetError, match="no folder"):
        find_pairs(tmp_path / "lost", "dis5k", "train")
    with pytest.raises(DatasetError, match=r"no 'train' split of DIS5K: looked for DIS-TR/im, DIS-TR/gt\. .*DIS5K"):
        find_pairs(tmp_path, "dis5k", "train")
    with pytest.raises(DatasetError, match=r"no split 'te5'\. Choose one of train, val, te1"):
        find_pairs(tmp_path, "dis5k", "te5")
    with pytest.raises(DatasetError, match=r"Unknown data layout 'coco'\. Choose one of " + ", ".join(layout_names())):
        find_pairs(tmp_path, "coco", "train")
    with pytest.raises(DatasetError, match="none of the known sets"):
        detect_layout(tmp_path)
    with pytest.raises(DatasetError, match=r"needs images/ with masks/ or alphas/"):
        find_pairs(tmp_path, "plain", "train")


def test_an_empty_split_is_an_error(tmp_path):
    for folder in ("im", "gt"):
        (tmp_path / "DIS-TR" / folder).mkdir(parents=True)
    with pytest.raises(DatasetError, match="is empty"):
        find_pairs(tmp_path, "dis5k", "train")
