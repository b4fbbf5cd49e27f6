"""Studies: experiments as data, how far they are, and what they say."""

from pydantic import BaseModel, Field

from cifs.records import StudyCell, StudyRecord, StudyVerdict


class StudyInfo(BaseModel):
    name: str = Field(examples=["overfitting"])
    title: str
    question: str
    recipe: str = Field(description="that every training extends")
    planned: int = Field(description="trainings")
    measured: int = Field(description="of those, on this server")


class StudyView(StudyInfo):
    """A study's plan, how far each training is on this server, and the record."""

    arms: dict[str, str] = Field(description="titles")
    regimes: dict[str, str]
    cells: list[StudyCell] = Field(description="in the order they are run")
    record: StudyRecord | None = Field(description="null: nothing is measured yet")
    published: bool = Field(description="whether the record is the one that came with the project, not this server's")
    verdicts: list[StudyVerdict] = Field(description="of the record, hypothesis by hypothesis")
