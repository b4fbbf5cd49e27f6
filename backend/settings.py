"""What an operator may set, each as an environment variable `CIFS_<NAME>`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Count = Annotated[int, Field(ge=1)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CIFS_", frozen=True)

    checkpoints: Path = Field(Path("checkpoints"), description="the folder of models, one folder each")
    device: str = Field("auto", description="cpu, cuda, cuda:1, …; auto takes a GPU where there is one")
    models_in_memory: Count = Field(4, description="models kept loaded; the one used longest ago leaves first")
    queue_length: int = Field(16, ge=0, description="computations that may wait; one more is answered 503")

    max_images: Count = Field(64, description="images in one request")
    max_steps: Count = Field(200, description="steps of an attack")
    max_restarts: Count = Field(10, description="restarts of an attack")
    max_image_steps: Count = Field(12_800, description="images × gradient steps of one request, in all runs")
    max_map_values: Count = Field(1_000_000, description="numbers in one response of feature maps")
    max_page: Count = Field(200, description="samples in one page of a data set")

    max_body_bytes: Count = Field(16 * 2**20, description="a whole request")
    max_upload_bytes: Count = Field(8 * 2**20, description="one uploaded image, as a file")
    max_pixels: Count = Field(20_000_000, description="one uploaded image, width × height")
    max_request_pixels: Count = Field(64_000_000, description="all uploaded images of one request")

    cors_origins: list[str] = Field([], description="origins whose pages may call this API; none by default")

    @property
    def attack_limits(self) -> dict[str, int]:
        """By parameter of an attack."""
        return {"steps": self.max_steps, "restarts": self.max_restarts}
