"""The report page as a browser shows it: slices, sorting, filters, a narrow screen, and a silent console."""

import os
import shutil

import numpy as np
import pytest
from helpers_processes import run as semiseg
from ruamel.yaml import YAML
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from small_run import SMALL

from semiseg.render.document import CaseScore, Cell, Figure, Page, Section, Table, ViewedCase
from semiseg.render.page import FIRST_ROWS, write_page
from semiseg.render.preview import gray_slice, overlay, radiological

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028&amp;"
CLASSES = ("background", "core", HOSTILE)
RUNS = ("run-a", HOSTILE)
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def viewed(name, shape, spacing, seed):
    rng = np.random.default_rng(seed)
    image = rng.uniform(1, 100, shape)
    truth = rng.integers(0, 3, shape).astype(np.uint8)
    truth[..., 4] = 1  # the slice to begin with
    return ViewedCase(name, f"about {name}", image, {"truth": truth, HOSTILE: rng.permutation(truth)}, spacing)


CASES = (viewed(HOSTILE, (12, 10, 8), (1, 1, 1), 0), viewed("second", (9, 14, 6), (1, 2.5, 4), 1))


def scores():
    values = np.random.default_rng(2).permutation(1200) / 1000
    for index, value in enumerate(values.tolist()):
        name = f"{HOSTILE}{index // 8}"
        undefined = index % 50 == 0
        yield CaseScore(
            RUNS[index % 2],
            "last",
            name,
            CLASSES[1 + index // 2 % 2],
            ("dice", "hd95")[index // 4 % 2],
            None if undefined else value,
            "undefined" if undefined else f"{value:.3f}",
            "missed" if undefined else "both_present",
        )


def page():
    rows = tuple((Cell(text), Cell(text, False, value)) for text, value in (("b", 2.0), ("a", None), ("c", 10.0)))
    table = Table("table", HOSTILE, ("Method", "Dice"), rows, (HOSTILE,))
    wide = Table("wide", "Wide", tuple(f"column {i}" for i in range(20)), (tuple(Cell("0.123") for _ in range(20)),))
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="900" height="90"><script>alert(1)</script></svg>'
    figure = Figure("figure", "Figure", HOSTILE, svg, bytes, HOSTILE)
    noted = tuple(
        (Cell("cps"), *(Cell(f"-0.{i}12 to +0.{i}34") for i in range(9)), Cell("what the curve says of it " * 5))
        for _ in range(2)
    )
    notes = Table("notes", "Notes", ("method", *(f"interval {i}" for i in range(9)), "note"), noted)
    sections = (
        Section(HOSTILE, (HOSTILE * 9, *(f"Sentence {i}." for i in range(9))), (table, wide, notes), (figure,)),
    )
    facts = {HOSTILE: "0" * 200}
    return Page(HOSTILE * 3, (HOSTILE,), sections, tuple(scores()), CASES, CLASSES, facts, facts)


def program(*names):
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    binary = program("chromium", "chromium-browser", "google-chrome")
    driver = program("chromedriver")
    if not (binary and driver):
        missing = "no Chromium with its chromedriver on this machine"
        if os.environ.get("SEMISEG_NEED_BROWSER") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(path, page())
    return path.as_uri()


@pytest.fixture
def shown(browser, address):
    browser.get(address)
    wait_for_case(browser, 0)
    yield browser
    log = browser.get_log("browser")
    assert log == [], log


def wait_for_case(browser, index):
    canvases = 1 + len(CASES[index].labels)
    label = f"image of {CASES[index].name}, "
    WebDriverWait(browser, 20).until(
        lambda b: (
            len(b.find_elements(By.CSS_SELECTOR, "canvas[role=img]")) == canvases
            and b.find_element(By.TAG_NAME, "canvas").get_attribute("aria-label").startswith(label)
        )
    )


def pixels(browser):
    """What each canvas holds: (H, W, 3)."""
    script = """return [...document.querySelectorAll("canvas")].map((canvas) => {
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return [canvas.height, canvas.width, [...data]];
    });"""
    return [np.reshape(data, (h, w, 4))[..., :3] for h, w, data in browser.execute_script(script)]


def assert_slice(browser, case, z):
    gray = radiological(gray_slice(case.image, case.image)[..., z])
    maps = [np.zeros(gray.shape, np.uint8), *(radiological(labels[..., z]) for labels in case.labels.values())]
    found = pixels(browser)
    assert len(found) == len(maps)
    for picture, labels in zip(found, maps, strict=True):
        assert np.abs(picture - overlay(gray, labels)).max() <= 1  # rounding
    assert browser.find_element(By.ID, "viewer-number").text == str(z)
    slider = browser.find_element(By.ID, "viewer-slice")
    assert slider.get_attribute("aria-valuetext").startswith(f"slice {z}, ")
    for canvas in browser.find_elements(By.TAG_NAME, "canvas"):
        assert canvas.get_attribute("aria-label").endswith(f" of {case.name}, axial slice {z}")


def set_range(browser, name, value):
    script = "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
    browser.execute_script(script + "e.dispatchEvent(new Event('input', {bubbles: true}));", name, value)


def column(browser, number):
    rows = "[...document.querySelectorAll('#score-table tbody tr')]"
    return browser.execute_script(f"return {rows}.map((row) => row.cells[arguments[0]].textContent)", number)


def click(browser, selector):
    browser.execute_script("arguments[0].click()", browser.find_element(By.CSS_SELECTOR, selector))


def sort_by(browser, number):
    click(browser, f"#score-table th:nth-child({number + 1}) button")
    return browser.find_element(By.CSS_SELECTOR, f"#score-table th:nth-child({number + 1})").get_attribute("aria-sort")


def show_all(browser):
    more = browser.find_element(By.ID, "score-more")
    while more.is_displayed():
        click(browser, "#score-more")


def test_one_slider_moves_all_panels(shown):
    assert_slice(shown, CASES[0], 4)
    slider = shown.find_element(By.ID, "viewer-slice")
    slider.send_keys(Keys.ARROW_RIGHT)
    assert_slice(shown, CASES[0], 5)
    slider.send_keys(Keys.HOME)
    assert_slice(shown, CASES[0], 0)
    set_range(shown, "viewer-slice", 7)
    assert_slice(shown, CASES[0], 7)


def test_the_overlay_can_be_faded(shown):
    set_range(shown, "viewer-opacity", 0)
    image, truth, _ = pixels(shown)
    assert (truth == image).all()
    assert shown.find_element(By.ID, "viewer-percent").text == "0%"
    set_range(shown, "viewer-opacity", 100)
    assert len(np.unique(pixels(shown)[1].reshape(-1, 3), axis=0)) == 1  # slice 4 is all of one class


def test_another_case_is_chosen_by_list_and_buttons(shown):
    Select(shown.find_element(By.ID, "viewer-case")).select_by_index(1)
    wait_for_case(shown, 1)
    assert_slice(shown, CASES[1], 4)
    assert shown.find_element(By.ID, "viewer-about").text == "about second"
    assert not shown.find_element(By.ID, "viewer-next").is_enabled()
    rectangle = shown.find_element(By.TAG_NAME, "canvas").rect
    assert rectangle["height"] / rectangle["width"] == pytest.approx(14 * 2.5 / 9, rel=0.02)
    click(shown, "#viewer-previous")
    wait_for_case(shown, 0)
    assert_slice(shown, CASES[0], 4)


def test_numbers_sort_as_numbers_and_what_is_undefined_comes_last(shown):
    rows = list(scores())
    numbers = sorted(row.value for row in rows if row.value is not None)
    show_all(shown)
    assert column(shown, 2) == [row.case for row in rows]
    for state, expected in (("ascending", numbers), ("descending", numbers[::-1])):
        assert sort_by(shown, 5) == state
        assert len(column(shown, 5)) == FIRST_ROWS
        show_all(shown)
        texts = column(shown, 5)
        assert texts == [f"{number:.3f}" for number in expected] + ["undefined"] * (len(rows) - len(numbers))
    assert sort_by(shown, 5) == "none"
    assert column(shown, 2) == [row.case for row in rows[:FIRST_ROWS]]


def test_texts_sort_with_their_numbers_as_numbers(shown):
    assert sort_by(shown, 2) == "ascending"
    show_all(shown)
    assert column(shown, 2) == [f"{HOSTILE}{number}" for number in range(150) for _ in range(8)]


def test_scores_are_filtered_by_case_and_by_choice(shown):
    count = shown.find_element(By.ID, "score-count")
    assert count.text == "200 of 1,200 rows."
    field = shown.find_element(By.ID, "score-case")
    field.send_keys("AMP;14", Keys.ENTER)
    assert count.text == "88 of 88 rows that match, of 1,200."
    assert set(column(shown, 2)) == {f"{HOSTILE}{number}" for number in (14, *range(140, 150))}
    for name, text in (("run", HOSTILE), ("metric", "hd95"), ("class_name", "core")):
        Select(shown.find_element(By.CSS_SELECTOR, f"select[data-column={name}]")).select_by_visible_text(
            " ".join(text.split())
        )
    assert count.text == "11 of 11 rows that match, of 1,200."
    assert set(zip(column(shown, 0), column(shown, 3), column(shown, 4), strict=True)) == {(HOSTILE, "core", "hd95")}
    field.send_keys("no such case")
    assert count.text == "No row of 1,200 matches."
    click(shown, "#score-filters button[type=reset]")
    WebDriverWait(shown, 20).until(lambda _: count.text == "200 of 1,200 rows.")


def test_tables_sort_by_their_cells_values(shown):
    for expected in (["b", "c", "a"], ["c", "b", "a"], ["b", "a", "c"]):
        click(shown, "table.sortable th:nth-child(2) button")
        rows = shown.find_elements(By.CSS_SELECTOR, "table.sortable tbody tr")[: len(expected)]
        assert [row.find_element(By.TAG_NAME, "th").text for row in rows] == expected


@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_never_scrolls_sideways(shown, width):
    size = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": False}
    shown.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        script = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth, innerWidth]"
        content, room, window = shown.execute_script(script)
        assert window == width
        assert content <= room
    finally:
        shown.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_on_a_telephone_no_table_of_a_section_is_scrolled_sideways(shown):
    size = {"width": 390, "height": 740, "deviceScaleFactor": 1, "mobile": False}
    shown.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        script = """return [...document.querySelectorAll("table.sortable")].map((table) =>
            [table.closest(".scroll").scrollWidth, table.closest(".scroll").clientWidth])"""
        found = shown.execute_script(script)
        assert len(found) == 3
        assert all(content <= room for content, room in found)
        title = "return getComputedStyle(document.querySelector('table.sortable td'), '::before').content"
        assert shown.execute_script(title) == '"Dice"'
    finally:
        shown.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_tables_and_figures_are_saved_as_shown(shown):
    shown.execute_script("window.saveText = (name, text) => { window.saved = [name, text]; }; window.save = saveText;")

    def pressed(title):
        button = shown.find_element(By.XPATH, f"//div[@class='saves']/button[text()='{title}']")
        shown.execute_script("arguments[0].click()", button)
        return shown.execute_script("return window.saved")

    assert pressed("CSV") == ["table.csv", "Method,Dice\nb,b\na,a\nc,c\n"]
    name, latex = pressed("LaTeX")
    assert name == "table.tex"
    assert latex.splitlines()[:3] == ["\\begin{tabular}{ll}", "\\hline", "Method & Dice \\\\"]
    name, address = pressed("SVG")
    assert name == "figure.svg"
    assert address.startswith("data:image/svg+xml;base64,")


def layout(browser, width, height, media=""):
    """The page at a size, on screen or as printed."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media})


@pytest.fixture
def sized(shown):
    yield shown
    shown.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def lines_of(browser, selector):
    """In how many lines each cell's text is set."""
    script = """return [...document.querySelectorAll(arguments[0])].map((cell) => {
        const range = document.createRange();
        range.selectNodeContents(cell);
        return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size;
    });"""
    return browser.execute_script(script, selector)


@pytest.mark.parametrize("width", [360, 1200])
def test_figures_fit_the_width(sized, width):
    layout(sized, width, 740)
    images = sized.find_elements(By.CSS_SELECTOR, "section img")
    assert images
    assert all(image.rect["x"] + image.rect["width"] <= width for image in images)


@pytest.mark.parametrize("media", ["screen", "print"])
def test_numbers_are_never_broken_and_notes_are_read_from_the_left(sized, media):
    layout(sized, 1032, 700, media)  # A4 landscape within its margins
    numbers = lines_of(sized, "td.number")
    assert numbers
    assert set(numbers) == {1}
    assert min(lines_of(sized, "td.text")) > 1
    note = sized.find_element(By.CSS_SELECTOR, "td.text")
    assert note.value_of_css_property("text-align") in {"left", "start"}
    table = sized.find_element(By.CSS_SELECTOR, "table.sortable:has(td.text)")
    if media == "print":
        assert table.rect["width"] <= 1032
        assert note.rect["x"] + note.rect["width"] <= 1032


def test_what_is_folded_is_open_in_print(sized):
    last = sized.find_element(By.CSS_SELECTOR, "details p:last-child")
    assert not last.is_displayed()
    sized.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert last.is_displayed()
    sized.execute_script("dispatchEvent(new Event('afterprint'))")
    assert not last.is_displayed()
    click(sized, "details summary")
    assert last.is_displayed()


def test_nothing_is_fetched_and_nothing_hostile_becomes_a_tag(shown):
    resources = shown.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert all(name.startswith("data:") for name in resources)
    assert not shown.find_elements(By.CSS_SELECTOR, "img:not([src^='data:']), [onerror]")
    assert shown.title.startswith("</script><img")


def test_a_script_that_is_not_the_page_s_own_does_not_run(browser, tmp_path):
    path = tmp_path / "report.html"
    write_page(path, Page("t"))
    path.write_text(path.read_text().replace("</body>", "<script>document.title = 'ran'</script></body>"))
    browser.get(path.as_uri())
    assert browser.title == "t"
    assert "Content Security Policy" in browser.get_log("browser")[0]["message"]


@pytest.mark.slow
def test_a_run_and_its_study_write_pages_that_work(browser, tmp_path):
    study = {
        "name": "one",
        "matrix": [{"strategy": "supervised"}],
        "base": {key: value for key, value in SMALL.items() if key not in {"name", "seed"}},
    }
    with (tmp_path / "one.yaml").open("w") as file:
        YAML(typ="safe").dump(study, file)
    semiseg("study", "run", tmp_path / "one.yaml", "-o", tmp_path / "study")
    semiseg("study", "report", tmp_path / "study")
    (run,) = (tmp_path / "study/models").iterdir()
    for path in (run / "report.html", tmp_path / "study/report/report.html"):
        browser.get(path.as_uri())
        WebDriverWait(browser, 20).until(lambda b: b.find_elements(By.CSS_SELECTOR, "canvas[role=img]"))
        before = pixels(browser)
        slider = browser.find_element(By.CSS_SELECTOR, "input[type=range]")
        slider.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
        WebDriverWait(browser, 20).until(lambda b, before=before: not np.array_equal(pixels(b)[0], before[0]))
        assert len(before) >= 3  # the image, the truth, predictions
        log = browser.get_log("browser")
        assert log == [], log


def test_a_picture_is_shown_in_color_without_slices_and_sides(browser, tmp_path):
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (12, 9, 1, 3)).astype(np.uint8)
    labels = random.integers(0, 3, (12, 9, 1)).astype(np.uint8)
    case = ViewedCase("photo", "about it", image, {"truth": labels}, (1, 1, 1), picture=True)
    write_page(tmp_path / "report.html", Page("Pictures", cases=(case,), classes=CLASSES))
    browser.get((tmp_path / "report.html").as_uri())
    WebDriverWait(browser, 20).until(lambda b: len(b.find_elements(By.CSS_SELECTOR, "canvas[role=img]")) == 2)
    shown, plane = radiological(image[:, :, 0]), radiological(labels[..., 0])
    for picture, mask in zip(pixels(browser), (np.zeros_like(plane), plane), strict=True):
        assert np.abs(picture - overlay(shown, mask)).max() <= 1
    assert not browser.find_element(By.ID, "viewer-slice").is_displayed()
    assert "Seen from the feet" not in browser.find_element(By.TAG_NAME, "body").text
    assert browser.find_element(By.ID, "viewer-note").text == "12 x 9 pixels."
    assert browser.find_element(By.TAG_NAME, "canvas").get_attribute("aria-label") == "image of photo"
    script = "return getComputedStyle(document.querySelector('.frame'), '::before').content"
    assert browser.execute_script(script) == "none"
