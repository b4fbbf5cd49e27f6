"""What a request's images become, and that decoding them ends when nobody waits any more."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from backend import resolve
from backend.errors import CLIENT_CLOSED_REQUEST, Refusal
from backend.lab import Lab
from backend.schemas import UploadedImage
from backend.settings import Settings
from cifs.progress import Progress


def upload(*, damaged: bool = False) -> UploadedImage:
    file = io.BytesIO()
    Image.effect_noise((300, 300), 90).save(file, "PNG")
    data = file.getvalue()
    return UploadedImage(png=base64.b64encode(data[: len(data) // 2] if damaged else data).decode())


def test_no_image_is_decoded_after_its_client_left(checkpoints: Path) -> None:
    lab = Lab(Settings(checkpoints=checkpoints, device="cpu"))
    asked = 0

    def report(progress: Progress) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise Refusal(CLIENT_CLOSED_REQUEST, "left")

    with pytest.raises(Refusal) as caught:  # and not the 422 of the second image
        resolve.inputs([upload(), upload(damaged=True)], lab.describe("tiny-natural"), lab, report)
    assert caught.value.status_code == CLIENT_CLOSED_REQUEST
    assert asked == 2
