"""The pages that the package and its examples serve, by the rules of accessibility of axe-core (WCAG), in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from browser import browsing, stay_home
from npm_packages import node_modules
from playwright.sync_api import expect
from programs import running

HERE = Path(__file__).parent
PAGES = [None, "presence_board:service", "resume:service", "rooms:service", "rpc:service"]


@pytest.mark.own_event_loop
@pytest.mark.parametrize("program_name", PAGES)
def test_pages(chromium: str, program_name: str | None, tmp_path: Path) -> None:
    """S12.1: pages have no serious fault for people who use them with a keyboard or a screen reader, light or dark."""
    axe = (node_modules(HERE, "axe") / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    schemes: list[Literal["light", "dark"]] = ["light", "dark"]
    with running(program_name, tmp_path) as program, browsing(chromium) as browser:
        for scheme in schemes:
            context = browser.new_context(color_scheme=scheme)
            stay_home(context)
            page = context.new_page()
            page.goto(f"http://localhost:{program.port}/")
            expect(page.get_by_role("heading").or_(page.locator("#status, #answer")).first).to_be_visible()
            page.evaluate(axe)
            found: list[dict[str, Any]] = page.evaluate("axe.run().then(({ violations }) => violations)")
            faults = [
                f"{scheme}: {each['impact']}: {each['help']}: {[node['html'] for node in each['nodes']]}"
                for each in found
                if each["impact"] in ("serious", "critical")
            ]
            context.close()
            assert faults == []
