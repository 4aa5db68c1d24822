from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from crossinit_batch.messages import complaint, did_you_mean, quoted, unknown


def test_shown_hides_credentials_and_cuts() -> None:
    assert "secret" not in quoted("s3://key:secret@bucket/x")
    assert len(quoted("x" * 1000)) < 100


def test_a_word_that_is_near_is_suggested() -> None:
    assert did_you_mean("Papr", ("paper", "other")) == "paper"
    assert did_you_mean("zzz", ("paper",)) is None and did_you_mean("paper" * 13, ("paper" * 13,)) is None
    assert unknown("papr", ("paper",), "set") == "unknown set 'papr': did you mean paper?"
    assert unknown("zzz", ("paper", "x"), "set") == "unknown set 'zzz': there are paper, x"


class Settings(BaseModel):
    number: Annotated[int, Field(ge=1, multiple_of=2)] = 2
    mode: Literal["fast", "slow"] = "fast"
    words: tuple[str, ...] = Field(("a",), min_length=1)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"number": "x"}, "expected a whole number, found IT"),
        ({"number": 0}, "expected at least 1, found IT"),
        ({"number": 3}, "expected a multiple of 2, found IT"),
        ({"mode": "fsat"}, "expected one of fast, slow, found IT: did you mean fast?"),
        ({"mode": "zzz"}, "expected one of fast, slow, found IT"),
        ({"words": []}, "the list is empty"),
        ({"words": 3}, "Input should be a valid tuple, found IT"),
    ],
)
def test_complaints_of_pydantic_are_said_in_our_words(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(values)
    assert [complaint(detail, "IT") for detail in caught.value.errors()] == [words]
