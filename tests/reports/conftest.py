"""A real browser, in which the pages of reports are opened from the disk."""

import json
import shutil
import time

import pytest

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1300,1000"),
)

# Looks into the shadow trees in which Bokeh keeps what it draws.
DEEP = """
const found = []
function visit(node) {
  if (node.matches && node.matches(arguments[1])) found.push(node)
  if (node.shadowRoot) visit_all(node.shadowRoot, arguments[1])
  visit_all(node, arguments[1])
}
function visit_all(node, selector) {
  for (const child of node.children) visit(child, selector)
}
visit(arguments[1] ?? document.body, arguments[0])
return found
"""


class Browser:
    """A tab, with what tests ask it."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, page):
        """Open a page from the disk and wait until all of it is drawn."""
        self.messages()
        self.driver.get(page.absolute().as_uri())
        self.wait(
            "return !window.Bokeh || (Bokeh.documents.length == 1 && Bokeh.documents[0].is_idle)"
        )
        return self

    def wait(self, condition, *arguments):
        """Wait for something to be true, which it becomes soon or not at all."""
        end = time.monotonic() + 30.0
        while not self.run(condition, *arguments):
            assert time.monotonic() < end, condition
            time.sleep(0.05)

    def run(self, code, *arguments):
        """Run JavaScript in the page."""
        return self.driver.execute_script(code, *arguments)

    def find(self, selector, inside=None):
        """Return all elements that a selector fits, those that Bokeh has made included."""
        return self.run(DEEP, selector, inside)

    def figure(self, caption):
        """Return the frame of a drawing."""
        for figure in self.find("figure"):
            if figure.find_element("tag name", "figcaption").text.startswith(caption):
                return figure
        raise AssertionError(f"no figure {caption!r}")

    def pixels(self, figure):
        """Return what is on the canvases of a drawing."""
        canvases = self.find("canvas", figure)
        assert canvases
        return self.run("return arguments[0].map(c => c.toDataURL())", canvases)

    def messages(self):
        """Return warnings and errors of the console since this was asked last."""
        return [
            line["message"] for line in self.driver.get_log("browser") if line["level"] != "INFO"
        ]

    def requests(self):
        """Return addresses of what was asked for since this was asked last, the browser's apart."""
        lines = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        asked = [
            line["params"]["request"]["url"]
            for line in lines
            if line["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith(("chrome:", "chrome-search:", "data:"))]


@pytest.fixture(scope="session")
def _driver(tmp_path_factory):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    chromedriver = shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("no Chromium with its driver: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    yield driver
    driver.quit()


@pytest.fixture
def browser(_driver):
    """Return a browser that must have had nothing to complain about, and asked for nothing."""
    found = Browser(_driver)
    found.requests()
    yield found
    assert found.messages() == []
    assert {url.partition(":")[0] for url in found.requests()} <= {"file"}
