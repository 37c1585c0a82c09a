"""Our own pages as answers: templates, the forms in them, and the cookies that go with them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from pipeline.core.clock import Clock
from workbench.serving import shown
from workbench.serving.forms import FIELD, Forms

if TYPE_CHECKING:
    from starlette.requests import Request

    from workbench.people.principal import Principal

FOLDER = Path(__file__).parent
HEADLINES = {
    400: "That is not possible",
    403: "Not for you",
    404: "Not found",
    413: "Too large",
    429: "Too many notebooks are open",
    503: "Just a moment",
}


class Pages:
    """Renders pages, each with a form token for the browser that asked."""

    def __init__(self, forms: Forms, clock: Clock) -> None:
        self._forms = forms
        self._clock = clock
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def page(
        self, request: Request, name: str, *, principal: Principal | None, status: int = 200, **values: Any
    ) -> Response:
        """A page out of a template; what people typed or sent is escaped."""
        nonce = self._forms.nonce(request)
        now = self._clock()
        text = self._environment.get_template(f"{name}.html.j2").render(
            **{FIELD: self._forms.field(nonce)},
            principal=principal,
            moment=partial(shown.moment, now=now),
            ago=partial(shown.ago, now=now),
            **values,
        )
        response = HTMLResponse(text, status_code=status)
        self._forms.remember(response, nonce)
        return response

    def notice(
        self, request: Request, status: int, text: str, *, principal: Principal | None = None, **values: Any
    ) -> Response:
        """A page that says why there is nothing else; to programs, the same as JSON."""
        if not wants_page(request):
            return JSONResponse({"detail": text}, status_code=status)
        headline = HEADLINES.get(status, "Something went wrong")
        more = {"open": [], "again": None} | values
        return self.page(request, "notice", principal=principal, status=status, headline=headline, text=text, **more)


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer."""
    return "text/html" in request.headers.get("accept", "")


def to_sign_in(request: Request) -> Response:
    """To the sign-in page and, afterwards, back to where the person was going."""
    address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/sign-in?{urlencode({'next': address})}", status_code=303)
