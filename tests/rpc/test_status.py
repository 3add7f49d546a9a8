"""Every cause that the project names has a status code."""

from __future__ import annotations

import grpc
import pytest

from hami_core import errors
from hami_core.errors import BadQuantity, HamiError
from hami_core.rpc.status import code_of

CAUSES = [value for value in vars(errors).values() if isinstance(value, type) and HamiError in value.__bases__]


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.__name__)
def test_every_named_cause_has_a_code_that_says_more_than_unknown(cause: type[HamiError]) -> None:
    assert code_of(cause.__new__(cause)) is not grpc.StatusCode.UNKNOWN


def test_a_closer_cause_has_the_code_of_the_one_it_is_a_kind_of() -> None:
    class BadPercentage(BadQuantity):
        pass

    assert code_of(BadPercentage(where="x", wanted="y", found=1)) is grpc.StatusCode.INVALID_ARGUMENT


def test_a_cause_that_nobody_named_is_unknown() -> None:
    class Unheard(HamiError):
        pass

    assert code_of(Unheard()) is grpc.StatusCode.UNKNOWN
