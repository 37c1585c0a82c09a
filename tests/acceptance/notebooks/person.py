"""A person at the notebooks: signs in, opens one, reads figures, and changes every control once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.browser import DESK, PHONE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

PATIENCE = 60_000
"""Milliseconds that a page may take to be as it is waited for."""
WINDOWS = {"desk": {"width": DESK, "height": 900}, "phone": {"width": PHONE, "height": 844}}

# Nothing has changed for a while: neither in the page nor in the shadow trees of marimo's elements.
QUIET = """([quiet, most]) => new Promise((resolve, reject) => {
    const began = Date.now(), watchers = [];
    let last = Date.now();
    const watch = root => {
        const watcher = new MutationObserver(() => { last = Date.now(); });
        watcher.observe(root, {subtree: true, childList: true, characterData: true});
        watchers.push(watcher);
        for (const e of root.querySelectorAll("*")) if (e.shadowRoot) watch(e.shadowRoot);
    };
    watch(document);
    const look = setInterval(() => {
        if (Date.now() - last < quiet && Date.now() - began < most) return;
        clearInterval(look);
        watchers.forEach(watcher => watcher.disconnect());
        Date.now() - last < quiet ? reject(new Error("the page never rests")) : resolve();
    }, 50);
})"""

TOUCHED = "select, button, input, textarea, [role=slider], [role=spinbutton], [role=combobox]"
"""What a person touches of a control, whose own element has no box."""
OFFERED = "[role=option]:visible:not(option):not([aria-disabled=true]):not([data-value^=__bulk])"
"""What an opened list offers."""
# marimo's own words for a cell that raised.
BROKEN = re.compile("An internal error occurred|An ancestor raised|This cell wasn't run")


@dataclass
class Person:
    """A browser window of somebody who has signed in."""

    page: Page
    url: str
    trouble: list[str] = field(default_factory=list)
    """What the pages complained of in the console."""

    def open(self, notebook: str, query: str = "") -> None:
        """Open a notebook and wait until it has settled."""
        self.page.goto(f"{self.url}/notebooks/{notebook}/{query}")
        self.page.locator(".wb-head, .wb-screen").first.wait_for(timeout=PATIENCE)
        self.settle()

    def settle(self) -> None:
        """Wait until the page rests; fail if a cell of the notebook failed."""
        self.page.wait_for_load_state("networkidle")
        self.page.evaluate(QUIET, [600, PATIENCE])
        assert BROKEN.findall(self.text()) == []

    def text(self) -> str:
        """All that can be read on the page, spaces and line ends made one."""
        return re.sub(r"\s+", " ", self.page.locator("body").inner_text())

    def tile(self, label: str) -> str:
        """The figure on the tile with this label."""
        tile = self.page.locator(".wb-tile", has_text=re.compile(f"^{label}")).first
        return tile.locator("strong, b, .wb-figure").first.inner_text()

    def change_everything(self, *, but: tuple[str, ...] = ()) -> list[str]:
        """Change each control once, and wait after each; answers what was changed.

        A control that appears because another was changed is changed as well.
        """
        done: dict[str, str] = {}
        while (found := self._next(set(done), but)) is not None:
            key, kind, control = found
            done[key] = kind
            control.locator(TOUCHED).first.scroll_into_view_if_needed()
            CHANGES[kind](self.page, control)
            self.settle()
        return list(done.values())

    def _next(self, done: set[str], but: tuple[str, ...]) -> tuple[str, str, Locator] | None:
        for kind in CHANGES:
            controls = self.page.locator(kind)
            for number in range(controls.count()):
                control = controls.nth(number)
                key = f"{kind} {control.get_attribute('data-label') or number}"
                if key not in done and kind not in but and control.locator(TOUCHED).first.is_visible():
                    return key, kind, control
        return None


def _choose_another(page: Page, control: Locator) -> None:
    select = control.locator("select")
    if select.count() == 0:
        control.locator("button").first.click()
        page.locator(OFFERED).first.click()
        return
    values = select.locator("option").evaluate_all("options => options.filter(o => !o.disabled).map(o => o.value)")
    others = [value for value in values if value != select.input_value()]
    if others:
        select.select_option(others[0])


def _pick(page: Page, control: Locator) -> None:
    control.locator(TOUCHED).first.click()
    page.locator(OFFERED).first.click()
    page.keyboard.press("Escape")


def _next_step(page: Page, control: Locator) -> None:
    control.locator("[role=slider]").first.focus()
    page.keyboard.press("ArrowLeft")


def _count_on(page: Page, control: Locator) -> None:
    control.locator("input").first.click()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")


def _a_day_before(page: Page, control: Locator) -> None:
    control.locator("[role=spinbutton]").nth(1).focus()
    page.keyboard.press("ArrowDown")


def _other_radio(_page: Page, control: Locator) -> None:
    control.get_by_role("radio", checked=False).first.click()


def _tick(_page: Page, control: Locator) -> None:
    control.locator("[role=checkbox], [role=switch]").first.click()


def _write(page: Page, control: Locator) -> None:
    control.locator("input, textarea").first.fill("a")
    page.keyboard.press("Tab")


def _other_tab(_page: Page, control: Locator) -> None:
    control.get_by_role("tab", selected=False).first.click()


def _unfold(_page: Page, control: Locator) -> None:
    control.locator("button").first.click()


CHANGES: dict[str, Callable[[Any, Any], None]] = {
    "marimo-dropdown": _choose_another,
    "marimo-multiselect": _pick,
    "marimo-radio": _other_radio,
    "marimo-date": _a_day_before,
    "marimo-date-range": _a_day_before,
    "marimo-slider": _next_step,
    "marimo-range-slider": _next_step,
    "marimo-number": _count_on,
    "marimo-checkbox": _tick,
    "marimo-switch": _tick,
    "marimo-text": _write,
    "marimo-tabs": _other_tab,
    "marimo-accordion": _unfold,
}
"""How each kind of control is changed."""


@contextmanager
def signed_in(
    browser: Browser, url: str, email: str, password: str, *, window: str = "desk", scheme: str = "light"
) -> Iterator[Person]:
    """Somebody who signs in on the page for it, in a window of that size, by day (light) or night (dark)."""
    with browser.new_context(viewport=WINDOWS[window], color_scheme=scheme) as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        person = Person(page, url)
        page.on("console", lambda message: person.trouble.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: person.trouble.append(str(error)))
        page.goto(f"{url}/")
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill(password)
        page.keyboard.press("Enter")
        page.get_by_text("Sign out").wait_for()
        yield person
