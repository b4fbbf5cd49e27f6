"""Uploads are decoded within limits; what is encoded comes back."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from backend.errors import Refusal
from backend.images import decode_upload, eight_bits, encoded, perturbation
from backend.settings import Settings

GREY = (1, 28, 28)
COLOUR = (3, 32, 32)
LIMITS = Settings(max_upload_bytes=200_000, max_pixels=1_000_000)


def base64_of(picture: Image.Image, kind: str = "PNG", **options: object) -> str:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return base64.b64encode(file.getvalue()).decode()


def decode(text: str, shape: tuple[int, int, int] = GREY) -> torch.Tensor:
    return decode_upload(text, shape, LIMITS, location="images.0.png")


def refusal(text: str, shape: tuple[int, int, int] = GREY) -> Refusal:
    with pytest.raises(Refusal) as caught:
        decode(text, shape)
    return caught.value


def png_claiming(width: int, height: int) -> str:
    """A PNG whose header claims this size; its pixels were never written."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


def test_a_png_of_the_models_size_is_decoded_to_its_exact_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    assert torch.equal(decode(base64_of(Image.fromarray(pixels)))[0], torch.from_numpy(pixels.astype(np.float32) / 255))


def test_channels_come_first_and_in_the_order_red_green_blue() -> None:
    x = decode(base64_of(Image.new("RGB", (32, 32), (255, 128, 0))), COLOUR)
    assert x.shape == COLOUR
    assert x.amax(dim=(1, 2)).tolist() == pytest.approx([1, 128 / 255, 0])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK"])
@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_every_mode_and_size_is_made_to_fit_the_model(mode: str, shape: tuple[int, int, int]) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    x = decode(base64_of(Image.new(mode, (57, 91)), kind), shape)
    assert x.shape == shape
    assert 0 <= x.min() <= x.max() <= 1


def test_sixteen_bit_grey_keeps_its_brightness() -> None:
    deep = np.full((28, 28), 0x8000, dtype=np.uint16)
    assert decode(base64_of(Image.fromarray(deep))).mean().item() == pytest.approx(0.5, abs=0.01)


def test_transparent_pixels_become_black() -> None:
    assert decode(base64_of(Image.new("RGBA", (28, 28), (255, 255, 255, 0)))).max() == 0


@pytest.mark.parametrize(("mode", "kind"), [("L", "JPEG"), ("RGB", "PNG"), ("RGBA", "PNG")])
def test_the_exif_orientation_is_applied(mode: str, kind: str) -> None:
    picture = Image.new(mode, (28, 28), "black")
    picture.paste("white", (0, 0, 28, 14))  # the upper half
    exif = Image.Exif()
    exif[0x0112] = 3  # to be turned by 180°
    x = decode(base64_of(picture, kind, exif=exif))
    assert x[0, :10].mean() < 0.1
    assert x[0, -10:].mean() > 0.9


def test_downscaling_averages_instead_of_picking_pixels() -> None:
    checkerboard = np.indices((280, 280)).sum(axis=0) % 2 * 255
    x = decode(base64_of(Image.fromarray(checkerboard.astype(np.uint8))))
    assert x.std() < 0.05


def test_a_hundred_megapixels_are_refused_by_the_header_alone() -> None:
    error = refusal(png_claiming(10_000, 10_000))
    assert error.status_code == 413
    assert "10000 × 10000 = 100000000 pixels; allowed: up to 1000000" in error.detail


def test_a_file_over_the_limit_is_refused_before_it_is_decoded() -> None:
    error = refusal("!" * 400_000)  # not even base64
    assert error.status_code == 413
    assert "allowed: up to 200000" in error.detail


def test_a_text_file_is_refused_with_the_formats_allowed() -> None:
    error = refusal(base64.b64encode(b"hello, world").decode())
    assert error.status_code == 422
    assert "neither a PNG nor a JPEG" in error.detail
    assert "hello" in error.detail


def test_other_formats_are_refused() -> None:
    assert "neither a PNG nor a JPEG" in refusal(base64_of(Image.new("L", (28, 28)), "GIF")).detail


@pytest.mark.parametrize("text", ["not base64 at all", "ü", "iVBOR"])
def test_what_is_not_base64_is_said_to_be_so(text: str) -> None:
    error = refusal(text)
    assert error.status_code == 422
    assert "base64" in error.detail


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_a_truncated_file_is_refused(kind: str, kept: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))
    data = base64.b64decode(base64_of(noise, kind))
    error = refusal(base64.b64encode(data[: int(len(data) * kept)]).decode())
    assert error.status_code == 422
    assert "damaged" in error.detail


def test_a_png_with_a_flipped_bit_is_refused() -> None:
    data = bytearray(base64.b64decode(base64_of(Image.new("L", (28, 28), 7))))
    data[-20] ^= 1
    assert "damaged" in refusal(base64.b64encode(data).decode()).detail


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_an_encoded_image_comes_back_exact_from_npy_and_rounded_from_png(shape: tuple[int, int, int]) -> None:
    x = torch.rand(shape)
    image = encoded(x)
    exact = np.load(io.BytesIO(base64.b64decode(image.npy)))
    assert exact.dtype == np.float32
    assert torch.equal(torch.from_numpy(exact), x)
    assert torch.equal(decode(image.png, shape), eight_bits(x))


def test_the_perturbation_is_shown_around_grey_and_kept_exact() -> None:
    delta = torch.tensor([-0.1, 0.0, 0.1]).repeat(28, 10)[:, :28].reshape(GREY)
    seen = perturbation(delta, largest=0.1)
    assert seen.magnification == pytest.approx(5)
    assert sorted(set(decode(seen.png).unique().tolist())) == pytest.approx([0, 0.5, 1], abs=0.003)
    assert np.array_equal(np.load(io.BytesIO(base64.b64decode(seen.npy))), delta.numpy())


def test_no_budget_at_all_shows_plain_grey() -> None:
    assert decode(perturbation(torch.zeros(GREY), largest=0).png).unique().tolist() == pytest.approx([0.5], abs=0.003)
