"""The page /docs of a service: Swagger UI with nothing from another host, so that a store or a closed network sees it.

Its script and its stylesheet are those that BentoML brings along.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response

PAGE = "/docs"
FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
PATHS = frozenset({PAGE, *(f"{PAGE}/{name}" for name in FILES)})
NO_ICON = "data:,"
A_DAY = {"Cache-Control": "private, max-age=86400"}


@cache
def _content(name: str) -> bytes:
    """A file of Swagger UI; looked up without importing BentoML."""
    found = find_spec("bentoml")
    folder = Path(str(found.origin)).parent if found else Path()
    return (folder / "_internal" / "server" / "static_content" / name).read_bytes()


def add_docs_page(app: FastAPI) -> None:
    """Adds /docs and its files to an application that was made without FastAPI's own page."""

    @app.get(PAGE, include_in_schema=False)
    async def page() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=str(app.openapi_url),
            title=app.title,
            swagger_js_url=f"{PAGE}/swagger-ui-bundle.js",
            swagger_css_url=f"{PAGE}/swagger-ui.css",
            swagger_favicon_url=NO_ICON,
        )

    @app.get(PAGE + "/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        if name not in FILES:
            return Response(status_code=404)
        return Response(_content(name), media_type=FILES[name], headers=A_DAY)
