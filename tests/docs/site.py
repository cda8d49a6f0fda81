"""Looks at the built site in a real browser, at the width of a phone and of a desktop.

    site.py HTML SCREENSHOTS

No page may be wider than the window; the search finds vcp_dial; nothing is written to the console.
Of each page there is a screenshot at both widths, and of the first ones in dark mode, too.
"""

import base64
import sys
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

WIDTHS = {390: 844, 1440: 900}
# As root, and where no network is: no sandbox, nothing in the background.
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
# What sticks out, for whoever has to mend it.
CULPRITS = """
    const wide = document.documentElement.clientWidth;
    const out = [...document.querySelectorAll('article *')].filter(e => {
        const box = e.getBoundingClientRect();
        let up = e.parentElement;
        while (up && getComputedStyle(up).overflowX === 'visible') up = up.parentElement;
        const free = !up || up === document.documentElement || up === document.body;
        return free && box.right > wide + 1;
    });
    return out.slice(0, 3).map(e => e.outerHTML.slice(0, 120));
"""


def start():
    options = webdriver.ChromeOptions()
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.binary_location = "/usr/bin/chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def set_width(browser, width):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": WIDTHS[width], "deviceScaleFactor": 1, "mobile": width < 500},
    )


def set_scheme(browser, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def screenshot(browser, path):
    """The whole page, but no more than a person scrolls through."""
    size = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000), "scale": 1}
    picture = browser.execute_cdp_cmd(
        "Page.captureScreenshot",
        {"clip": clip, "captureBeyondViewport": True, "format": "png", "optimizeForSpeed": True},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(picture["data"]))


def look_at(browser, page, width):
    """What is wrong with a page at that width."""
    browser.get(page.as_uri())
    set_width(browser, width)
    wide, room = browser.execute_script(
        "const e = document.documentElement; return [e.scrollWidth, e.clientWidth];"
    )
    wrong = []
    if wide > room:
        culprits = browser.execute_script(CULPRITS)
        wrong.append(f"{page.name} at {width}: {wide} px wide: {culprits}")
    logged = [entry["message"] for entry in browser.get_log("browser")]
    return wrong + [f"{page.name}: {message}" for message in logged]


def search(browser, html):
    """The search, typed into as a reader does."""
    browser.get((html / "index.html").as_uri())
    field = browser.find_element(By.CSS_SELECTOR, "input[name=q]")
    field.send_keys("vcp_dial")
    field.submit()
    found = "#search-results a[href*='#c.vcp_dial']"
    WebDriverWait(browser, 20).until(lambda b: b.find_elements(By.CSS_SELECTOR, found))
    return [link.text for link in browser.find_elements(By.CSS_SELECTOR, "#search-results li > a")]


def main(html, screenshots):
    pages = sorted(page for page in html.rglob("*.html") if "_static" not in page.parts)
    browser, wrong = start(), []
    try:
        for width in WIDTHS:
            for page in pages:
                wrong += look_at(browser, page, width)
                name = "-".join(page.relative_to(html).with_suffix("").parts)
                screenshot(browser, screenshots / f"{width}" / f"{name}.png")
        set_scheme(browser, "dark")
        for name in ("index.html", "reference/dialing.html"):
            wrong += look_at(browser, html / name, 1440)
            screenshot(browser, screenshots / "dark" / f"{Path(name).stem}.png")
        results = search(browser, html)
    finally:
        browser.quit()
    if "vcp_dial" not in [text.split(" ")[0].removesuffix("()") for text in results]:
        wrong.append(f"the search for vcp_dial shows {results}")
    print("\n".join(wrong), end="\n" if wrong else "")
    if wrong:
        sys.exit(1)
    print(
        f"browser: {len(pages)} pages at {len(WIDTHS)} widths: none too wide;"
        f" the search shows {len(results)} places for vcp_dial, and {results[0]} first"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
