"""What an operator may set, each as an environment variable `CIFS_<NAME>`."""

import json
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Count = Annotated[int, Field(ge=1)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CIFS_", frozen=True, env_ignore_empty=True)

    checkpoints: Path = Field(Path("checkpoints"), description="the folder of models, one folder each")
    device: str = Field("auto", description="cpu, cuda, cuda:1, …; auto takes a GPU where there is one")
    models_in_memory: Count = Field(
        4, description="models kept loaded, by each of two inference threads; the one used longest ago leaves first"
    )
    threads: Count = Field(
        max(1, (os.cpu_count() or 2) // 2),
        description="of torch in this server; many threads that wait for one another answer slower than few",
    )
    remembered_bytes: int = Field(
        128 * 2**20,
        ge=0,
        description="of adversarial images and what networks said of them; 0: all is computed anew",
    )
    queue_length: int = Field(64, ge=0, description="computations that may wait; one more is answered 503")

    max_images: Count = Field(64, description="images in one request")
    max_steps: Count = Field(200, description="steps of an attack")
    max_restarts: Count = Field(10, description="restarts of an attack")
    max_image_steps: Count = Field(12_800, description="images × gradient steps of one request, in all runs")
    max_request_gflops: Count = Field(
        5000, description="of the attacks of one request: images × gradient steps × 3 × those of a forward pass"
    )
    max_seconds: float = Field(120.0, gt=0, description="from a request's arrival to its answer, where it computes")
    max_map_values: Count = Field(1_000_000, description="numbers in one response of feature maps")
    max_page: Count = Field(200, description="samples in one page of a data set")

    max_body_bytes: Count = Field(16 * 2**20, description="a whole request")
    max_upload_bytes: Count = Field(8 * 2**20, description="one uploaded image, as a file")
    max_pixels: Count = Field(20_000_000, description="one uploaded image, width × height")
    max_request_pixels: Count = Field(64_000_000, description="all uploaded images of one request")

    jobs: Literal["off", "embedded", "external"] = Field(
        "off",
        description="work that lasts: not at all; by a worker process this server starts; by `cifs worker` elsewhere",
    )
    runs: Path = Field(Path("runs"), description="the folder of runs and of what belongs to jobs")
    database_url: str | None = Field(
        None, description="of jobs: sqlite:////…/jobs.sqlite or postgresql://…; by default jobs.sqlite in the runs"
    )
    jobs_at_once: Count = Field(1, description="jobs that one worker runs side by side")
    job_device: str = Field("cpu", description="the device jobs compute on: cpu, cuda, cuda:1, …")
    job_threads: Count | None = Field(
        None, description="threads of one job; by default one for each core but the last, which serves"
    )
    job_log_bytes: Count = Field(2**20, description="of one job's log, of which the older half goes first")
    cancel_patience: float = Field(6.0, ge=0, le=600, description="seconds a cancelled job has to save and end")
    tasks: str = Field("cifs.tasks:TASKS", description="the registry of kinds of jobs, as module:attribute")
    max_model_bytes: Count = Field(512 * 2**20, description="one uploaded file of weights")
    max_dataset_bytes: Count = Field(512 * 2**20, description="one uploaded data set, packed and unpacked")

    allowed_hosts: list[str] = Field(
        ["localhost", "127.0.0.1", "[::1]", "backend", "testserver"],
        description="names this server answers to, against pages that rebind theirs; ['*']: any",
    )
    api_keys: dict[Annotated[str, Field(min_length=16)], Literal["read", "use", "admin"]] = Field(
        {}, repr=False, description="what each key may: read, use or admin (backend/keys.py); none: everybody may all"
    )
    key_seconds_per_hour: float | None = Field(
        None, gt=0, description="of computation that each key but an admin's may ask for in an hour; by default any"
    )
    cors_origins: list[str] = Field([], description="origins whose pages may call this API; none by default")

    def environment(self) -> dict[str, str]:
        """These settings but for the keys as environment variables, for a process that is to have the same."""
        values = self.model_dump(mode="json", exclude_none=True, exclude={"api_keys"})
        return {
            f"CIFS_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
            for name, value in values.items()
        }

    @property
    def jobs_url(self) -> str:
        """The database of jobs."""
        return self.database_url or f"sqlite:///{self.runs.resolve() / 'jobs.sqlite'}"

    @property
    def job_environment(self) -> dict[str, str]:
        """Of the processes that compute: threads that spin while they wait take the cores from all others.

        Measured on two busy cores, seconds for a training step: 1 thread 0.25, 2 threads 6.0, 2 that do not spin 1.0.
        """
        threads = self.job_threads or max((os.cpu_count() or 1) - 1, 1)
        return {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}

    @property
    def workspace(self) -> dict[str, str]:
        """Where jobs read and write, and what they compute on."""
        return {"checkpoints": str(self.checkpoints), "runs": str(self.runs), "device": self.job_device}

    @property
    def attack_limits(self) -> dict[str, int]:
        """By parameter of an attack."""
        return {"steps": self.max_steps, "restarts": self.max_restarts}
