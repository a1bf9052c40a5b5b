"""JSON Schemas that credentials name, and what they say of them (VC JSON Schema Specification 1.0).

A schema is a stranger's program: its regular expressions, references and combinations can keep a validator
busy for hours. So `failures` belongs into a process that may be killed. Nothing is fetched: references lead
into the schema itself or to the drafts' own meta-schemas. Formats are remarks, as the drafts have it.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import jsonschema
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema_specifications import REGISTRY
from referencing.exceptions import Unresolvable

from connector.errors import RemoteProtocolError
from connector.vc.jose import shown

_DRAFTS: dict[str, Any] = {
    "https://json-schema.org/draft/2020-12/schema": jsonschema.Draft202012Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema.Draft201909Validator,
    "http://json-schema.org/draft-07/schema": jsonschema.Draft7Validator,
    "http://json-schema.org/draft-06/schema": jsonschema.Draft6Validator,
    "http://json-schema.org/draft-04/schema": jsonschema.Draft4Validator,
}
_TOLD = 3
"""Failures told: enough to mend a credential, too few to spell out a large one."""


def failures(schema: Any, values: Sequence[Any]) -> list[str]:
    """Where the values do not fit the schema, at most three places; empty if they do.

    The places are told, and not what stands there. Raises RemoteProtocolError: not a schema, or none of a
    draft that is known here (§4.1: it must not be processed), or one that refers elsewhere.
    """
    if not isinstance(schema, dict):
        raise RemoteProtocolError("the schema is not a JSON object")
    name = schema.get("$schema")
    draft = _DRAFTS.get(name.rstrip("#")) if isinstance(name, str) else None
    if draft is None:
        raise RemoteProtocolError(
            f"the schema's $schema is {shown(name)}; JSON Schema 2020-12, 2019-09, 7, 6 and 4 are known"
        )
    try:
        draft.check_schema(schema)
        validator = draft(schema, registry=REGISTRY)
        errors = (error for value in values for error in validator.iter_errors(value))
        return [_told(error) for error in islice(errors, _TOLD)]
    except SchemaError as wrong:
        raise RemoteProtocolError(f"the schema is not one: {_told(wrong)}") from None
    except Unresolvable as wrong:
        raise RemoteProtocolError(
            f"the schema refers to {shown(wrong.ref)}, which is not in it; nothing is fetched for a schema"
        ) from None
    except RecursionError:
        raise RemoteProtocolError("the schema goes round in circles, or is too deep") from None


def _told(error: ValidationError | SchemaError) -> str:
    place = "/".join(str(part) for part in error.absolute_path)
    what = error.message if error.validator == "required" else f"does not fit {shown(error.validator)}"
    return f"/{place[:200]}: {what[:200]}"
