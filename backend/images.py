"""Images between files and tensors: uploads decoded within limits, tensors encoded to look at (PNG) and exact (npy)."""

import base64
import binascii
import io
import math

import numpy as np
import torch
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from torch import Tensor

from backend.errors import Refusal, unfit
from backend.schemas import EncodedImage, Perturbation
from backend.settings import Settings
from cifs.data import png

# By their first bytes, and opened by their own class: PIL.Image.open would try every format it knows.
FORMATS: dict[bytes, type[PngImageFile] | type[JpegImageFile]] = {
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"\xff\xd8\xff": JpegImageFile,
}
MODES = {1: "L", 3: "RGB"}  # by channels


def decode_upload(text: str, shape: tuple[int, int, int], settings: Settings, *, location: str) -> Tensor:
    """base64 of a PNG or JPEG → (C, H, W) in [0, 1], turned upright by its EXIF orientation and resized to `shape`.

    Raises Refusal: 422 for what is no such image, 413 for one that is too large, before any of its pixels is decoded.
    """
    data = _base64(text, settings.max_upload_bytes, location)
    picture = _open(data, location)
    _pixels(picture, settings.max_pixels, location)
    try:
        _open(data, location).verify()
        upright = _flatten(ImageOps.exif_transpose(picture))
    except Exception as error:  # PIL raises a dozen kinds for damaged files
        raise unfit(location, f"a damaged image file: {error}") from error
    channels, height, width = shape
    return from_picture(_fit(upright.convert(MODES[channels]), width, height))


def decode_exact(text: str, shape: tuple[int, int, int], settings: Settings, *, location: str) -> Tensor:
    """base64 of a .npy file → (C, H, W) in [0, 1], as it is. Raises Refusal: 413 for a large one, 422 for any other.

    The header is read alone, and the rest only where it is as long as it has to be: numpy allocates what a header says.
    """
    file = io.BytesIO(_base64(text, settings.max_upload_bytes, location))
    try:
        if (version := np.lib.format.read_magic(file)) != (1, 0):
            raise ValueError(f"version {version} of the format; write it with numpy.save")
        given, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    except Exception as error:  # a header is a Python literal, which fails in a dozen ways
        raise unfit(location, f"not a .npy file: {error}") from error
    data = file.read()
    if (given, dtype) != (shape, np.dtype("<f4")) or len(data) != 4 * math.prod(shape):
        raise unfit(location, f"an array {given} of {dtype} in {len(data)} bytes; allowed: {shape} of float32")
    pixels = np.frombuffer(data, "<f4").reshape(shape, order="F" if fortran else "C")
    if not (pixels.min() >= 0 and pixels.max() <= 1):  # not a number is neither
        raise unfit(location, f"pixels from {pixels.min():g} to {pixels.max():g}; allowed: 0 to 1")
    return torch.from_numpy(np.ascontiguousarray(pixels).copy())


def pixels_of(text: str, settings: Settings, *, location: str) -> int:
    """Width × height of an upload, by its header alone. Raises as `decode_upload` does."""
    picture = _open(_base64(text, settings.max_upload_bytes, location), location)
    return _pixels(picture, settings.max_pixels, location)


def _base64(text: str, limit: int, location: str) -> bytes:
    if len(text) > 4 * (limit // 3 + 1):
        raise Refusal(413, f"an image file of {len(text) * 3 // 4} bytes; allowed: up to {limit}", location=location)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise unfit(location, f"not base64: {error}") from None


def _open(data: bytes, location: str) -> Image.Image:
    """Reads the header alone."""
    for signature, kind in FORMATS.items():
        if data.startswith(signature):
            try:
                return kind(io.BytesIO(data))
            except Exception as error:
                raise unfit(location, f"a damaged image file: {error}") from error
    raise unfit(location, f"neither a PNG nor a JPEG file: it starts with {data[:8]!r}")


def _pixels(picture: Image.Image, limit: int, location: str) -> int:
    width, height = picture.size
    if width * height > limit:
        message = f"an image of {width} × {height} = {width * height} pixels; allowed: up to {limit}"
        raise Refusal(413, message, location=location)
    return width * height


def _flatten(picture: Image.Image) -> Image.Image:
    """8 bits a channel; what is transparent becomes black, as the data sets' own padding is."""
    if picture.mode.startswith("I"):  # 16-bit grey, which convert() would clip
        deep = np.asarray(picture, dtype=np.uint32)
        return Image.fromarray((deep >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        seen = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "black"), seen).convert("RGB")
    return picture


def _fit(picture: Image.Image, width: int, height: int) -> Image.Image:
    if picture.size == (width, height):
        return picture
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def from_picture(picture: Image.Image) -> Tensor:
    """(C, H, W) in [0, 1]"""
    pixels = np.array(picture, dtype=np.float32) / 255
    return torch.from_numpy(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1).copy())


def eight_bits(x: Tensor) -> Tensor:
    """What a PNG of x holds: the nearest of the 256 values."""
    return (x.clamp(0, 1) * 255).round() / 255


def npy(x: Tensor) -> str:
    """→ base64 .npy, float32."""
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(x.cpu().numpy(), dtype=np.float32))
    return base64.b64encode(file.getvalue()).decode()


def encoded(x: Tensor) -> EncodedImage:
    return EncodedImage(png=png(x), npy=npy(x))


def perturbation(delta: Tensor, largest: float) -> Perturbation:
    """x' − x, exact and magnified around grey so that ±largest spans the PNG's range."""
    magnification = 0.5 / max(largest, 1e-6)
    return Perturbation(png=png(0.5 + magnification * delta), npy=npy(delta), magnification=magnification)
