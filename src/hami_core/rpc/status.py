"""Faults to gRPC status: the code says what kind of mistake, the text is the error's own."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import grpc

from hami_core.errors import (
    AdmissionRefused,
    ApiFailed,
    BadConfig,
    BadQuantity,
    BadWire,
    HamiError,
    PluginFault,
    ProbeFailed,
    ReservationConflict,
    UnknownName,
)

CAUSE = "hami-error"
"""Trailing metadata entry that names the class of the error, for programs."""

# Trailers of more than 8 KiB are refused by most clients, which would hide the code as well.
_MAX_TEXT = 2000

_CODES: dict[type[HamiError], grpc.StatusCode] = {
    AdmissionRefused: grpc.StatusCode.INVALID_ARGUMENT,
    ApiFailed: grpc.StatusCode.UNAVAILABLE,
    BadConfig: grpc.StatusCode.INVALID_ARGUMENT,
    BadQuantity: grpc.StatusCode.INVALID_ARGUMENT,
    BadWire: grpc.StatusCode.INVALID_ARGUMENT,
    PluginFault: grpc.StatusCode.INTERNAL,
    ProbeFailed: grpc.StatusCode.UNAVAILABLE,
    ReservationConflict: grpc.StatusCode.ABORTED,
    UnknownName: grpc.StatusCode.NOT_FOUND,
}

Service = TypeVar("Service")
Request = TypeVar("Request")
Response = TypeVar("Response")
Context = grpc.aio.ServicerContext[Any, Any]

_log = logging.getLogger(__name__)


def code_of(error: HamiError) -> grpc.StatusCode:
    """The status code of an error; a subclass that is not listed has its parent's."""
    return next((_CODES[cls] for cls in type(error).__mro__ if cls in _CODES), grpc.StatusCode.UNKNOWN)


async def abort(context: Context, error: HamiError, code: grpc.StatusCode | None = None) -> NoReturn:
    """End a call with an error's text, its name for programs, and `code` or the code that fits."""
    await context.abort(code or code_of(error), str(error)[:_MAX_TEXT], ((CAUSE, type(error).__name__),))
    raise AssertionError("abort always raises") from error


def answers(
    method: Callable[[Service, Request], Awaitable[Response]],
) -> Callable[[Service, Request, Context], Awaitable[Response]]:
    """Make a method that answers or raises a handler.

    The loop runs it in one piece up to its first await, so up to there no other call sees it half done.
    """

    @functools.wraps(method)
    async def handler(self: Service, request: Request, context: Context) -> Response:
        try:
            return await method(self, request)
        except HamiError as err:
            await abort(context, err)
        except Exception:  # noqa: BLE001 - our fault must not end the server; the caller learns that it is ours
            _log.exception("%s failed", method.__name__)
            await context.abort(grpc.StatusCode.INTERNAL, f"{method.__name__} failed; the server's log has the cause")

    return handler
