"""One OpenAPI document of all products, made from the applications that answer."""

import json
import sys
from importlib import import_module
from typing import Any

from fastapi import FastAPI

from retail_assets.core.errors import RetailError
from retail_assets.resources.environments import PROJECT_ROOT
from retail_assets.serving.processes.processes import LOOPBACK
from retail_assets.serving.processes.products import product as known_product
from retail_assets.serving.processes.products import products

DOCUMENT = PROJECT_ROOT / "docs" / "openapi.json"
PROBES = {"/livez": "The process is up", "/readyz": "A model is live; 503 before"}


class OpenApiError(RetailError):
    """Two products mean different things by one name."""


def application(product: str) -> FastAPI:
    """The FastAPI application of a product; imports its service, which lies beside the package and not in it."""
    if str(PROJECT_ROOT) not in sys.path:
        sys.path.append(str(PROJECT_ROOT))
    module = import_module(known_product(product).service.partition(":")[0])
    app: FastAPI = module.app
    return app


def combined() -> dict[str, Any]:
    """Every route of every product: those of one product under its own server, shared ones under all.

    Raises OpenApiError when two products have a route or a schema of the same name that differ.
    """
    documents = {product: application(product).openapi() for product in products()}
    servers = {product: {"url": f"http://{{host}}:{{{product}_port}}", "description": product} for product in documents}
    found: dict[str, Any] = {"paths": {}, "schemas": {}}
    owners: dict[str, list[str]] = {}
    for product, document in documents.items():
        for kind, items in (("paths", document["paths"]), ("schemas", document["components"].get("schemas", {}))):
            for name, item in items.items():
                if found[kind].setdefault(name, item) != item:
                    raise OpenApiError(f"{product} and another product differ in {kind} {name}")
        for path in document["paths"]:
            owners.setdefault(path, []).append(product)
    probes = {path: {"get": _probe(text)} for path, text in PROBES.items()}
    owners |= dict.fromkeys(probes, list(documents))
    paths = {
        path: item | {"servers": [_server(servers[product], product) for product in owners[path]]}
        for path, item in sorted((found["paths"] | probes).items())
    }
    first = next(iter(documents.values()))
    return {
        "openapi": first["openapi"],
        "info": {"title": "retail-assets", "version": "1", "description": _description(documents)},
        "paths": paths,
        "components": {
            "schemas": dict(sorted(found["schemas"].items())),
            "securitySchemes": first["components"]["securitySchemes"],
        },
    }


def _server(server: dict[str, Any], product: str) -> dict[str, Any]:
    variables = {"host": {"default": LOOPBACK}, f"{product}_port": {"default": str(known_product(product).port)}}
    return server | {"variables": variables}


def _probe(text: str) -> dict[str, Any]:
    return {"summary": text, "security": [], "responses": {"200": {"description": text}}}


def _description(documents: dict[str, Any]) -> str:
    return "\n".join(f"- {product}: {document['info']['description']}" for product, document in documents.items())


def text() -> str:
    """The document as it is kept in docs/."""
    return json.dumps(combined(), indent=1, ensure_ascii=False) + "\n"
