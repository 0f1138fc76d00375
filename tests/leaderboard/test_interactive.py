"""The interactive page in a real browser: it sorts, filters, plots, and complains of nothing."""

import os
import shutil
from collections.abc import Iterator

import pytest
from made_board import METHODS, made, made_board
from small_sweep import needed

from benchmark.leaderboard import pages
from benchmark.leaderboard.columns import COLUMNS
from benchmark.results.schema import SplitChecksum

pytest.importorskip("altair", reason="the extra `page` is not installed")
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from benchmark.leaderboard.interactive.page import _row, interactive

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror='document.title=1'>"
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return where the page of a board with a hostile name lies, in a folder of its own."""
    records = [*made_board(), made(HOSTILE, 0, 0.4), made("alone", table="digits/other/vit")]
    file = tmp_path_factory.mktemp("page") / "index.html"
    file.write_text(interactive(pages.tested(records), "Leaderboard: digits", pages.NOTE))
    return file.as_uri()


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    """Return a browser without a network."""
    needed(all(map(shutil.which, ("chromium", "chromedriver"))), "Chromium")
    options = webdriver.ChromeOptions()
    for each in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(each)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(params=[(size, look) for size in SIZES for look in ("light", "dark")], ids="-".join)
def opened(request, chromium, page):
    """Return the browser with the page, at a size and in a look."""
    size, look = request.param
    width, height = SIZES[size]
    media = {"features": [{"name": "prefers-color-scheme", "value": look}]}
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    for kind in ("browser", "performance"):
        chromium.get_log(kind)  # forgets what was before
    chromium.get(page)
    WebDriverWait(chromium, 60).until(
        lambda d: d.execute_script("return document.body.dataset.ready") == "yes"
    )
    if folder := os.environ.get("SCREENSHOTS"):  # to look at
        chromium.save_screenshot(f"{folder}/{size}-{look}.png")
    return chromium


def methods(driver):
    """Return the methods of the table's rows, as shown."""
    cells = driver.find_elements(By.CSS_SELECTOR, "#board tbody td summary")
    return [cell.text for cell in cells]


def test_the_page_opens_without_errors_asks_nobody_and_fits(opened):
    errors = [each for each in opened.get_log("browser") if each["level"] == "SEVERE"]
    assert not errors
    asked = [each["message"] for each in opened.get_log("performance")]
    assert not [each for each in asked if '"url":"http' in each]
    drawn = opened.find_elements(By.CSS_SELECTOR, ".chart svg.marks")
    assert len(drawn) == 3 and all(each.size["height"] > 100 for each in drawn)
    wide = opened.execute_script("return document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0 and opened.title == "Leaderboard: digits"  # not what the hostile name says
    assert HOSTILE in methods(opened)
    ink, paper = (
        opened.execute_script(f"return getComputedStyle(document.body).{each}")
        for each in ("color", "backgroundColor")
    )
    assert contrast(ink, paper) > 7


def test_it_sorts_filters_and_opens_rows(opened):
    assert set(METHODS) < set(methods(opened))
    before = methods(opened)
    heads = opened.find_elements(By.CSS_SELECTOR, "#board thead th")
    (tunable,) = [head for head in heads if head.text.strip() == "tunable"]
    opened.execute_script("arguments[0].click()", tunable)
    order = [each for each in methods(opened) if each in METHODS]
    assert methods(opened) != before
    assert order == sorted(METHODS, key=lambda method: METHODS[method][1])
    opened.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys("adapter")
    assert methods(opened) == ["st_adapter"]
    opened.execute_script("document.querySelector('#board summary').click()")
    said = opened.find_element(By.CSS_SELECTOR, "#board details[open]").text
    assert "benchmark run digits/digits_motion/vit_digits/st_adapter seed=0" in said
    links = opened.find_elements(By.CSS_SELECTOR, "#board details[open] a")
    assert links[0].get_attribute("href").endswith("digits_motion/vit_digits/st_adapter/seed0.json")


def test_axes_and_data_are_chosen(opened):
    choices = opened.find_elements(By.CSS_SELECTOR, "#chart0 select")
    data, x, y = (
        [option.text for option in each.find_elements(By.TAG_NAME, "option")] for each in choices
    )
    assert data == ["digits_motion · vit_digits", "other · vit"]
    assert set(x) <= {c.title for c in COLUMNS if c.direction == "lower"} and len(x) > 2
    assert set(y) <= {c.title for c in COLUMNS if c.direction == "higher"}
    before = picture(opened)
    for place, at in ((choices[1], 1), (choices[0], 1)):
        opened.execute_script(
            "arguments[0].selectedIndex = arguments[1];"
            "arguments[0].dispatchEvent(new Event('change'))",
            place,
            at,
        )
        WebDriverWait(opened, 20).until(lambda d, before=before: picture(d) != before)
        before = picture(opened)


def picture(driver):
    return driver.execute_script("return document.querySelector('#chart0 svg.marks').outerHTML")


def contrast(one, other):
    """Return the contrast of two CSS colours, rgb(...), by WCAG 2: from 1 to 21."""

    def luminance(color):
        parts = [int(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_command_that_makes_a_row_again_names_the_run_whatever_its_table_is_called():
    other = {"splits": {"test": SplitChecksum(videos=5, sha256="y")}}
    found = pages.tested([made(seed=0), made(seed=1, data=other)])
    commands = [_row(name, row)["command"] for name, (row,) in found.items()]
    run = "benchmark run digits/digits_motion/vit_digits/aim"
    assert len(found) == 2 and commands == [f"{run} seed=0", f"{run} seed=1"]
