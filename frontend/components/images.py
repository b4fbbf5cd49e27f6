"""Small images, shown large: pixels stay pixels."""

import base64
import io

from PIL import Image

SHOWN_SIZE = 336  # pixels, a multiple of 28


def decode(png: str) -> bytes:
    return base64.b64decode(png)


def encode(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def enlarge(png: str, size: int = SHOWN_SIZE) -> Image.Image:
    image = Image.open(io.BytesIO(decode(png)))
    factor = max(1, round(size / max(image.size)))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
