"""The schema of the results, and what documents hold that it does not describe."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
from projects import PROJECT

SCHEMA = json.loads((PROJECT / "docs" / "results.schema.json").read_text())


def check_document(document: dict[str, Any]) -> None:
    """It has the form that the schema asks for, and no key that the schema keeps silent about."""
    jsonschema.validate(document, SCHEMA)
    kind = "run" if "run" in document else "drift"
    silent = sorted(set(undescribed(document, SCHEMA["$defs"][kind])))
    assert not silent, f"docs/results.schema.json does not describe {', '.join(silent)}"


def undescribed(value: Any, node: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of the keys of a value that none of the forms which a node of the schema allows has a word for.

    An object without any properties of its own is the user's, such as the parameters of an estimator.
    """
    forms = list(forms_of(node))
    if isinstance(value, dict) and any("properties" in form or "additionalProperties" in form for form in forms):
        known: dict[str, Any] = {}
        for form in forms:
            known |= form.get("properties", {})
        others = next((form["additionalProperties"] for form in forms if form.get("additionalProperties")), None)
        for key, item in value.items():
            if key in known or others:
                yield from undescribed(item, known.get(key, others), f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    if isinstance(value, list):
        items = next((form["items"] for form in forms if "items" in form), {})
        for item in value:
            yield from undescribed(item, items, f"{path}[]")


def forms_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node with its references and alternatives resolved."""
    if "$ref" in node:
        yield from forms_of(SCHEMA["$defs"][node["$ref"].rsplit("/", 1)[-1]])
    yield node
    for choice in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from forms_of(choice)
