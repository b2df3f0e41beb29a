"""JSON of a client as what its schema says, or an error of which the first parts are said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from kogner.serve.limits import RequestError

MOST_DETAILS = 20
MOST_ERRORS = 1000  # of which a list is made; each takes a kilobyte
Body = TypeVar("Body", bound=BaseModel)


class MalformedError(RequestError):
    """A body that its schema does not fit. details: (where, what), the first of all that is wrong."""

    def __init__(self, status: int, reason: str, message: str, details: Sequence[tuple[str, str]]) -> None:
        self.details = details
        super().__init__(status, reason, message)


def parse(kind: type[Body], body: bytes | bytearray) -> Body:
    """A body as its schema says. Raises MalformedError: 400 where it is no JSON, 422 where it is other JSON."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        if error.error_count() > MOST_ERRORS:
            message = f"{error.error_count():,} things are not as the schema says; see /openapi.json"
            raise MalformedError(422, "invalid_request", message, [("body", message)]) from None
        found = error.errors(include_url=False, include_context=False, include_input=False)
    details = [(".".join(map(str, one["loc"])) or "body", one["msg"]) for one in found]
    details = [(where, said.removeprefix("Value error, ")) for where, said in details]
    if found[0]["type"] == "json_invalid":
        raise MalformedError(400, "malformed_json", f"the body cannot be read as JSON: {details[0][1]}", details)
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    message = f"{details[0][0]}: {details[0][1]}{more}"
    raise MalformedError(422, "invalid_request", message, details[:MOST_DETAILS])
