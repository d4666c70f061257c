"""The API's document as a page of our own: ninja's loads its assets from elsewhere."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from opsproject.api import api

Part = Mapping[str, Any]

REFUSED_FROM = 400


@dataclass(frozen=True)
class Field:
    """A parameter, or a field of a body."""

    name: str
    type: str
    required: bool
    says: str


@dataclass(frozen=True)
class Operation:
    """One method of one address."""

    id: str
    tag: str
    method: str
    path: str
    summary: SafeString
    more: SafeString
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    answers: tuple[tuple[str, str], ...]
    refusals: tuple[int, ...]


@dataclass(frozen=True)
class Shape:
    """What is sent or answered as one JSON object."""

    name: str
    says: SafeString
    fields: tuple[Field, ...]


def api_docs(request: HttpRequest) -> HttpResponse:
    """Show every address with its parameters, its body and its answers."""
    return render(request, "api_docs.html", {"groups": _groups(), "shapes": _shapes()})


@cache
def _groups() -> list[tuple[str, list[Operation]]]:
    operations = list(_operations(api.get_openapi_schema()))
    return [(tag, list(group)) for tag, group in groupby(operations, key=lambda one: one.tag)]


@cache
def _shapes() -> list[Shape]:
    document = api.get_openapi_schema()
    shapes: dict[str, Part] = document["components"]["schemas"]
    return [
        Shape(name, _marked(shape.get("description", "")), tuple(_fields(document, shape)))
        for name, shape in sorted(shapes.items())
        if "properties" in shape
    ]


def _operations(document: Part) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            summary, _, more = told["description"].partition("\n\n")
            yield Operation(
                id=told["operationId"],
                tag=told["tags"][0],
                method=method.upper(),
                path=path,
                summary=_marked(summary),
                more=_marked(more),
                parameters=tuple(_parameters(document, told)),
                body=tuple(_body(document, told)),
                answers=tuple(
                    (str(status), _answer(answer))
                    for status, answer in told["responses"].items()
                    if int(status) < REFUSED_FROM
                ),
                refusals=tuple(sorted(s for s in map(int, told["responses"]) if s >= REFUSED_FROM)),
            )


def _parameters(document: Part, told: Part) -> Iterator[Field]:
    for parameter in told.get("parameters", []):
        schema = parameter["schema"]
        where = f"{parameter['in']}: {_type(document, schema)}"
        yield Field(parameter["name"], where, parameter["required"], _says(schema))


def _body(document: Part, told: Part) -> Iterator[Field]:
    content = told.get("requestBody", {}).get("content", {})
    for media in content.values():
        yield from _fields(document, _resolved(document, media["schema"]))


def _fields(document: Part, schema: Part) -> Iterator[Field]:
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        yield Field(name, _type(document, field), name in required, _says(field))


def _resolved(document: Part, schema: Part) -> Part:
    """Follow a reference, also where null is allowed beside it."""
    for choice in schema.get("anyOf", []):
        if "$ref" in choice:
            schema = choice
    reference: str | None = schema.get("$ref")
    if reference is None:
        return schema
    found: Part = document["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def _type(document: Part, schema: Part) -> str:
    """Return a type in a few words."""
    if choices := schema.get("anyOf"):
        return " or ".join(_type(document, choice) for choice in choices)
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "$ref" in schema:
        resolved = _resolved(document, schema)
        return _type(document, resolved) if "enum" in resolved else str(resolved["title"])
    if schema.get("type") == "array":
        return f"list of {_type(document, schema['items'])}"
    return str(schema.get("format") or schema.get("type", "anything"))


def _says(schema: Part) -> str:
    default = schema.get("default")
    told = schema.get("description", "")
    return told if default in (None, "", [], {}) else f"{told} Default {default}.".strip()


def _marked(text: str) -> SafeString:
    """Return a docstring's text with what stands in backticks as code."""
    return mark_safe(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))  # noqa: S308 escaped


def _answer(answer: Part) -> str:
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    reference = schema.get("$ref") or schema.get("items", {}).get("$ref") or ""
    name = reference.rpartition("/")[2]
    return f"list of {name}" if schema.get("type") == "array" else name
