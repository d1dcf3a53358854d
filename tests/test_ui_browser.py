"""The page as people use it, in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import CORPUS, SHARED, Program, until

pytest.importorskip("playwright.sync_api")
pytest.importorskip("starlette")
pytest.importorskip("httpx")

from PIL import Image
from playwright.sync_api import sync_playwright
from ui_making import Server, served

from kosearch import ocr

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ENGINE = ocr.find()
SCAN = SHARED / "cases" / "scans" / "ko_table_150.png"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DAY = re.compile(r"\d{4}-\d\d-\d\d$")
PATIENCE = 120_000
"""Milliseconds: a busy machine takes its time."""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with sync_playwright() as driver:
        # Without a sandbox of its own, which needs rights that containers do not give: it only meets this server.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A Korean page; whatever it complains of fails the test."""
    context = browser.new_context(locale="ko-KR", viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda one: errors.append(one.text) if "Content Security Policy" in one.text else None)
    yield page
    context.close()
    assert errors == []


def searches(page: Page) -> list[str]:
    """The questions that are asked from now on, as they are."""
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "/api/search" in one.url else None)
    return asked


def settle(page: Page) -> None:
    """Wait for the answer."""
    page.wait_for_selector("#hits > li")
    page.wait_for_selector("#busy:not(.on)", state="attached")


def ask(page: Page, server: Server, question: str) -> None:
    page.goto(server.url)
    page.fill("#question", question)
    settle(page)


def test_it_opens_by_way_of_a_file(page: Page, server: Server, tmp_path: Path) -> None:
    """As `kosearch ui` has the browser begin, so that nobody sees the token: a visit from elsewhere, to the server."""
    file = tmp_path / "ui.html"
    file.write_text(f'<meta http-equiv="refresh" content="0;url={server.url}">', "utf-8")
    page.goto(file.as_uri())
    page.fill("#question", "연차 이월")
    settle(page)


def test_hangul_by_an_input_method(page: Page, server: Server) -> None:
    """No request for half a syllable; Enter in the middle of one asks nothing."""
    page.goto(server.url)
    page.wait_for_selector("#start p")
    page.focus("#question")
    asked = searches(page)
    devtools = page.context.new_cdp_session(page)
    for syllables in (("ㅇ", "여", "연"), ("ㅊ", "차")):
        for part in syllables:
            devtools.send("Input.imeSetComposition", {"text": part, "selectionStart": 1, "selectionEnd": 1})
        page.evaluate("document.getElementById('ask').requestSubmit()")
        assert not any("%E3%85" in one for one in asked)  # a single letter
        devtools.send("Input.insertText", {"text": syllables[-1]})
    settle(page)
    assert page.input_value("#question") == "연차"
    assert "복무" in page.locator("#hits .name").first.inner_text()
    assert all("%EC%97%B0" in one for one in asked), asked


def test_from_a_question_to_the_marked_page(page: Page, server: Server) -> None:
    ask(page, server, "서울")
    page.locator("#hits > li", has_text="two_pages.pdf").locator(".name").click()
    page.wait_for_selector(".sheet img")
    assert page.locator(".sheet span").count() > 0
    first = page.locator("#number").inner_text()
    box = page.locator(".sheet span").first.bounding_box()
    sheet = page.locator(".sheet").bounding_box()
    assert box
    assert sheet
    assert sheet["x"] <= box["x"] <= sheet["x"] + sheet["width"]
    page.keyboard.press("ArrowRight" if first.startswith("1") else "ArrowLeft")
    assert until(lambda: page.locator("#number").inner_text() != first, 60)


def test_by_keyboard_alone(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.keyboard.type("연차 이월")
    settle(page)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.className") == "name"
    page.keyboard.press("Enter")
    page.wait_for_selector("#paper mark")
    assert page.evaluate("document.activeElement.id") == "preview"
    page.keyboard.press("Escape")
    page.wait_for_selector("#preview", state="hidden")
    assert page.evaluate("document.activeElement.className") == "name"
    page.keyboard.press("?")
    page.wait_for_selector("#dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#dialog", state="hidden")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "question"


def test_the_address_holds_the_question(page: Page, server: Server) -> None:
    ask(page, server, "연차 이월")
    page.keyboard.press("Enter")
    settle(page)
    page.fill("#question", "boundary layer")
    page.keyboard.press("Enter")
    page.wait_for_selector("#hits > li:first-child .name:text-is('notes.txt')")
    page.reload()
    settle(page)
    assert page.input_value("#question") == "boundary layer"
    page.go_back()
    assert until(lambda: page.input_value("#question") == "연차 이월", 60)
    other = page.context.new_page()  # two tabs
    other.goto(page.url)
    settle(other)
    assert other.input_value("#question") == "연차 이월"


def test_chips_narrow_and_widen(page: Page, server: Server) -> None:
    ask(page, server, "서울 연차")
    before = page.locator("#hits > li").count()
    chip = page.locator("[data-chip=type]", has_text="csv")
    count = int(chip.locator(".count").inner_text())
    assert page.locator("#chips [role=group]").count() == 3 - (page.locator("[data-chip=year]").count() == 0)
    chip.click()
    page.wait_for_selector("[data-chip=type][aria-pressed=true]:has-text('csv')")
    settle(page)
    assert "type=csv" in page.url
    names = page.locator("#hits .name").all_inner_texts()
    assert len(names) == count
    assert all(name.endswith(".csv") for name in names)
    chip.click()
    assert until(lambda: page.locator("#hits > li").count() == before, 60)
    assert "type=" not in page.url


def test_order_and_groups(page: Page, server: Server) -> None:
    ask(page, server, "서울 boundary layer 연차")
    page.select_option("#sort", "date")
    days = [part for text in page.locator(".place").all_inner_texts() for part in text.split(" · ") if DAY.match(part)]
    assert len(set(days)) > 1
    assert days == sorted(days, reverse=True)
    page.check("#group")
    page.wait_for_url("**group=1*")
    settle(page)
    names = page.locator("#hits .name").all_inner_texts()
    assert len(names) == len(set(names))
    page.reload()
    settle(page)
    assert (page.input_value("#sort"), page.is_checked("#group")) == ("date", True)


def test_copies_and_reasons_on_demand(page: Page, server: Server) -> None:
    ask(page, server, "연차 이월")
    first = page.locator("#hits > li").first
    copies, why = first.locator("details", has_text="같은 글"), first.locator("details", has_text="이유")
    assert not copies.locator("li").is_visible()
    copies.locator("summary").click()
    assert "복무" in copies.locator("li").inner_text()
    why.locator("summary").click()
    assert all(word in why.inner_text() for word in ("점수", "뜻", "낱말"))


def test_pages_and_zoom_by_clicks(page: Page, server: Server) -> None:
    ask(page, server, "서울")
    page.locator("#hits > li", has_text="two_pages.pdf").locator(".name").click()
    page.wait_for_selector(".sheet img")
    wide = page.locator(".sheet").bounding_box()
    page.click("[aria-label='크게']")
    assert wide
    assert until(lambda: (page.locator(".sheet").bounding_box() or wide)["width"] > wide["width"] * 1.2, 60)
    page.click("[aria-label='작게']")
    assert until(lambda: (page.locator(".sheet").bounding_box() or wide)["width"] == wide["width"], 60)
    first = page.locator("#number").inner_text()
    page.click("[aria-label='다음 쪽']" if first.startswith("1") else "[aria-label='앞 쪽']")
    assert until(lambda: page.locator("#number").inner_text() != first, 60)
    page.click("#preview button:has-text('글')")
    page.wait_for_selector("#paper mark")
    assert page.locator(".sheet").count() == 0


def test_a_sheet_is_a_grid_around_the_hit(page: Page, server: Server) -> None:
    ask(page, server, "부산 인구")
    page.locator("#hits .name", has_text="인구.csv").first.click()
    page.wait_for_selector("#paper td mark")
    assert page.locator("#paper th").all_inner_texts() == ["도시", "인구"]
    assert "부산" in page.locator("#paper tr:has(mark)").all_inner_texts()[0] + page.locator("#paper").inner_text()


def test_topics_are_a_way_in(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.click("#start button:has-text('주제로 둘러보기')")
    page.locator("#topics summary").first.click()
    page.locator("#topics details[open] .name").first.click()
    page.wait_for_selector("#paper > *")
    page.keyboard.press("Escape")
    page.wait_for_selector("#preview", state="hidden")


def test_similar_documents_and_back(page: Page, server: Server) -> None:
    ask(page, server, "연차 이월")
    page.locator("#hits > li").first.get_by_text("비슷한 문서").click()
    page.wait_for_selector("#about:has-text('비슷한 문서: 복무')")
    assert page.locator("#hits > li").count() > 0
    page.click("#about button")
    page.wait_for_selector("#about", state="hidden")
    settle(page)
    assert "복무" in page.locator("#hits .name").first.inner_text()


def test_what_is_not_searchable_is_listed(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.click("#show-status")
    page.click("#dialog summary:has-text('찾을 수 없는 것')")
    assert "broken.pdf" in page.locator("#dialog details li").inner_text()


@pytest.mark.skipif(not SCAN.is_file(), reason="the shared scans are not here")
@pytest.mark.skipif(isinstance(ENGINE, ocr.Missing), reason=str(ENGINE))
def test_a_scan_is_seen_with_its_lines_marked(page: Page, program: Program) -> None:
    """The marks lie on ink, and no other part of the sheet is marked."""
    assert program.run("index", SCAN, timeout=300).returncode == 0
    with served(program) as server:
        ask(page, server, "피치클락 규정")
        assert "그림에서 읽음" in page.locator("#hits .place").first.inner_text()
        page.locator("#hits .name").first.click()
        page.wait_for_selector(".sheet span.best")
        sheet = page.locator(".sheet").bounding_box()
        marks = [one.bounding_box() for one in page.locator(".sheet span").all()]
    assert sheet
    with Image.open(SCAN) as scan:
        ink = np.asarray(scan.convert("L")) < 128
    rows = np.zeros(len(ink), dtype=bool)
    for mark in marks:
        assert mark
        top, bottom = ((mark["y"] + part - sheet["y"]) / sheet["height"] * len(ink) for part in (0, mark["height"]))
        rows[int(top) : int(bottom) + 1] = True
    assert ink[rows].any(axis=1).mean() > 0.9
    assert rows.mean() < 0.6


def test_two_hundred_keystrokes_are_few_requests(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.wait_for_selector("#start p")
    asked = searches(page)
    page.evaluate(KEYSTROKES)
    settle(page)
    assert len(asked) == 2  # by words, and by meaning
    assert page.locator("#hits .name").first.inner_text() == "notes.txt"


KEYSTROKES = """() => {
  const field = document.getElementById('question');
  for (let n = 0; n < 200; n++) {
    field.value += 'boundary layer '[n % 15];
    field.dispatchEvent(new InputEvent('input', { bubbles: true }));
  }
}"""


def test_scripts_in_documents_do_not_run(page: Page, server: Server) -> None:
    for question in ("비밀번호 규칙", "금고 열쇠"):
        ask(page, server, question)
        page.locator("#hits .name").first.click()
        page.wait_for_selector("#paper mark")
        assert page.evaluate("window.broken") is None
    assert page.locator("#hits img, #hits script, #paper img, #paper script").count() == 0


def test_a_server_that_stops_and_goes_on(page: Page, server: Server) -> None:
    ask(page, server, "연차")
    page.route("**/api/**", lambda route: route.abort())
    page.fill("#question", "연차 이월")
    page.wait_for_selector("#said.error")
    page.unroute("**/api/**")
    page.wait_for_selector("#said:not(.error)")
    settle(page)


def test_a_server_that_has_ended_is_said(page: Page, shelf: Program) -> None:
    with served(shelf) as first:
        page.goto(first.url)
        page.wait_for_selector("#start p")
        port = first.port
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        page.fill("#question", "연차")
        page.wait_for_selector("#said.error")
    with served(shelf, "--port", str(port)):
        page.wait_for_selector("#said:has-text('kosearch ui')")


def test_an_index_that_changes_meanwhile(browser: Browser, program: Program) -> None:
    folder = program.home / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("백신 프로그램은 자동으로 갱신된다.\n", "utf-8")
    context = browser.new_context(locale="en-US")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    with served(program) as server:
        page.goto(server.url)
        page.fill("#start input", str(folder))
        page.click("#start form button")
        page.wait_for_selector("#start p:has-text('Type a question')")
        page.fill("#question", "백신")
        settle(page)
        (folder / "b.txt").write_text("새 백신을 산다.\n", "utf-8")
        page.click("#show-status")
        page.evaluate(WATCHED)
        page.click("#dialog-body button:has-text('Refresh now')")
        page.wait_for_selector(".run:has-text('Done: 1 added')")
        assert page.evaluate("window.bars") > 0, "how far it was, was seen"
        page.click("#dialog-close")
        page.wait_for_selector("#hits > li:nth-child(2)")
    context.close()


WATCHED = """() => {
  window.bars = 0;
  new MutationObserver(() => { window.bars += document.querySelectorAll('.run progress').length; })
    .observe(document.getElementById('dialog'), { childList: true, subtree: true });
}"""


def test_a_folder_that_is_not_there_is_said(page: Page, program: Program) -> None:
    with served(program) as server:
        page.goto(server.url)
        page.wait_for_selector("#start input:focus")
        page.keyboard.type("/nowhere/at all")
        page.keyboard.press("Enter")
        page.wait_for_selector(".run:has-text('그런 폴더가 없습니다')")


def test_the_pictures_are_what_the_page_shows(browser: Browser, program: Program) -> None:
    """Those of the documentation. KOSEARCH_GOLDEN=write makes them anew; fonts may differ, what is where may not."""
    folder = program.home / "문서"
    shutil.copytree(CORPUS, folder)
    for file in folder.rglob("*"):
        os.utime(file, (1_709_500_000, 1_709_500_000))
    assert program.run("index", folder, timeout=300).returncode == 0
    with served(program) as server:
        for name, (question, document, *window) in PICTURES.items():
            taken = photograph(browser, server, question, document, *window)
            file = DOCS / name
            if WRITE:
                taken.save(file, "WEBP", quality=80, method=6)
            assert file.stat().st_size < 80_000
            with Image.open(file) as stored:
                assert taken.size == stored.size
                assert np.abs(seen_from_afar(taken) - seen_from_afar(stored)).mean() < 8, f"{name} shows an older page"


DOCS = Path(__file__).resolve().parents[1] / "kosearch" / "docs"
WRITE = os.environ.get("KOSEARCH_GOLDEN") == "write"
PICTURES: dict[str, tuple[Any, ...]] = {
    "ui-page.webp": ("소화기 사용법", "소방안전.pdf", "en-US", "light", 1280, 720),
    "ui-narrow.webp": ("연차를 다음 해로 넘길 수 있나요?", "", "ko-KR", "dark", 390, 720),
}
"""A question, the document whose preview is open, the browser's language and colours, and its size."""


def photograph(
    browser: Browser, server: Server, question: str, document: str, locale: str, scheme: Any, width: int, height: int
) -> Image.Image:
    context = browser.new_context(locale=locale, color_scheme=scheme, viewport={"width": width, "height": height})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    ask(page, server, question)
    if document:
        page.locator("#hits .name", has_text=document).first.click()
        page.wait_for_selector(".sheet span")
    page.wait_for_timeout(200)
    taken = Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide"))).convert("RGB")
    context.close()
    return taken


def seen_from_afar(picture: Image.Image) -> Any:
    return np.asarray(picture.convert("L").resize((picture.width // 32, picture.height // 32)), dtype=float)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, server: Server, scheme: Any) -> None:
    """Rules for people who see, hear or move otherwise, on each face that the page has."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(locale="ko-KR", viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()

    def check(face: str) -> None:
        found = axe.run(page, options={"resultTypes": ["violations"], "preload": False}).response["violations"]
        grave = {one["id"]: [node["html"] for node in one["nodes"]] for one in found if one["impact"] in GRAVE}
        assert (face, grave) == (face, {})

    page.goto(server.url)
    page.wait_for_selector("#start p")
    check("start")
    page.fill("#question", "서울 연차")
    settle(page)
    check("results")
    page.locator("#hits .name", has_text="복무").first.click()
    page.wait_for_selector("#paper mark")
    check("a text")
    page.locator("#hits .name", has_text="인구.csv").first.click()
    page.wait_for_selector("#paper td")
    check("a sheet")
    page.locator("#hits .name", has_text="two_pages.pdf").first.click()
    page.wait_for_selector(".sheet img")
    check("a page")
    for button in ("#show-help", "#show-status"):
        page.click(button)
        page.wait_for_selector("#dialog[open]")
        check(button)
        page.click("#dialog-close")
    context.close()


GRAVE = ("serious", "critical")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_fits_and_can_be_read(browser: Browser, server: Server, scheme: Any, width: int) -> None:
    """Nothing runs out of the window, every control has a name, and text stands out from its ground."""
    context = browser.new_context(locale="ko-KR", viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    ask(page, server, "연차 이월")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(FAINT) == []
    page.locator("#hits .name").first.click()
    page.wait_for_selector("#paper mark")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(FAINT) == []
    context.close()


NAMELESS = """() => [...document.querySelectorAll('button, input, select, summary, img, [role=group], section')]
  .filter((one) => one.checkVisibility() && !(one.textContent.trim() || one.ariaLabel || one.labels?.length || one.alt))
  .map((one) => one.outerHTML)"""
FAINT = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map((one) => one / 255)
      .map((one) => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (!colour.endsWith(', 0)')) return colour;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  const faint = [];
  for (const one of document.querySelectorAll('main *, header *, #said')) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !one.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.push([one.outerHTML.slice(0, 80), (a + 0.05) / (b + 0.05)]);
  }
  return faint;
}"""
