"""The home page: the notebooks with the question that each answers, and how fresh the tenant's data is."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from anyio import to_thread
from starlette.responses import RedirectResponse, Response

from pipeline.core.errors import WorkbenchError
from workbench.serving.catalog import Notebook, may_choose, may_open
from workbench.serving.pages import Pages, to_sign_in
from workbench.serving.rules import TENANT
from workbench.serving.visitors import Visitors

if TYPE_CHECKING:
    from starlette.requests import Request

    from workbench.people.principal import Principal
    from workbench.serving.port import FreshnessOf, People, TenantName
    from workbench.session.freshness import Freshness

log = logging.getLogger(__name__)


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What a person's home page shows."""

    tenant: TenantName | None = None
    choice: Sequence[TenantName] | None = None
    """The tenants to choose from; None for who has no choice."""
    problem: str | None = None


class Home:
    """Answers `/`."""

    def __init__(
        self,
        *,
        notebooks: Sequence[Notebook],
        people: People,
        visitors: Visitors,
        pages: Pages,
        freshness_of: FreshnessOf,
    ) -> None:
        self._notebooks = notebooks
        self._people = people
        self._visitors = visitors
        self._pages = pages
        self._freshness_of = freshness_of

    async def show(self, request: Request) -> Response:
        """The page for who is signed in; to the sign-in page otherwise."""
        visitor = await self._visitors.of(request.scope["headers"])
        if visitor is None:
            return to_sign_in(request) if request.url.query else RedirectResponse("/sign-in", status_code=303)
        principal = visitor.principal
        chosen = request.query_params.getlist(TENANT)
        outlook = await to_thread.run_sync(self._outlook, principal, chosen)
        freshness = None
        if outlook.tenant is not None:
            freshness = await to_thread.run_sync(self._freshness, outlook.tenant.tenant_id)
        return self._pages.page(
            request,
            "home",
            principal=principal,
            status=404 if outlook.problem else 200,
            tenant=outlook.tenant,
            choice=outlook.choice,
            problem=outlook.problem,
            notebooks=[each for each in self._notebooks if self._is_shown(each, principal, outlook)],
            freshness=freshness,
            unreadable=outlook.tenant is not None and freshness is None,
        )

    def _outlook(self, principal: Principal, chosen: Sequence[str]) -> Outlook:
        """Whose data the page is about."""
        if principal.role == "steward":
            return Outlook()
        if principal.tenant_id is not None:
            problem = None if may_choose(principal, chosen) else "This tenant is not yours."
            return Outlook(tenant=self._people.tenant(principal.tenant_id), problem=problem)
        choice = self._people.tenants()
        if not chosen:
            return Outlook(choice=choice)
        tenant = next((each for each in choice if [each.tenant_id] == chosen), None)
        problem = None if tenant else "There is no such tenant, or it is suspended."
        return Outlook(tenant=tenant, choice=choice, problem=problem)

    def _is_shown(self, notebook: Notebook, principal: Principal, outlook: Outlook) -> bool:
        return may_open(principal, notebook) and (outlook.tenant is not None or notebook.for_stewards)

    def _freshness(self, tenant_id: str) -> Freshness | None:
        try:
            return self._freshness_of(tenant_id)
        except WorkbenchError as error:
            log.warning("the state of %s cannot be read: %s", tenant_id, error.message, extra={"tenant_id": tenant_id})
            return None
