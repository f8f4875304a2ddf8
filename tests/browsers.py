"""Pages as a browser shows them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def chromium() -> Iterator[Any]:
    """Headless Chromium. Skips where there is none, unless BENCH_REQUIRE_BROWSER=1 makes that a failure."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        if os.environ.get("BENCH_REQUIRE_BROWSER") == "1":
            pytest.fail("BENCH_REQUIRE_BROWSER=1 asks for a browser, but there is no chromium with chromedriver")
        pytest.skip("there is no chromium with chromedriver")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = Chrome(options, ChromeService(driver))
    yield chrome
    chrome.quit()


def show(browser: Any, file: Path, width: int, scheme: str = "light") -> None:
    """Open a page in a window of this width, for a reader who prefers this colour scheme."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(file.as_uri())


def faults(browser: Any) -> list[str]:
    """What axe-core has against the page that is shown: the rule, and the first element that breaks it.

    Skips where it is not installed, unless BENCH_REQUIRE_BROWSER=1 makes that a failure.
    """
    if os.environ.get("BENCH_REQUIRE_BROWSER") != "1":
        pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    from axe_core_python.selenium import Axe

    found = Axe().run(browser)
    assert len(found["passes"]) > 10
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found["violations"]]
