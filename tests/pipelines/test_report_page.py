"""The report as its reader has it: in a browser."""

import time
from dataclasses import replace

import pytest
from browser import chromium, until
from made_run import HOSTILE, Made, made_run

from pipelines.report import write_report


@pytest.fixture(scope="module")
def opened():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory, opened):
    return write_report(made_run(tmp_path_factory.mktemp("report") / "run", Made(hostile=HOSTILE)))


def is_drawn(page) -> bool:
    return page.get_attribute("body", "data-drawn") == "1"


def test_the_page_draws_everything_without_a_word_on_its_console(hostile_report, opened):
    with opened(hostile_report) as (page, wrong):
        until(lambda: is_drawn(page))
        for name in ("funnel", "dialogues", "depth", "words", "messages", "cost", "pace"):
            assert page.locator(f'[data-chart="{name}"] svg').count() == 1, name
        page.locator("#map").scroll_into_view_if_needed()
        until(lambda: page.locator("#map-plane canvas").count())
        assert wrong == []


def test_texts_of_models_are_shown_as_texts_and_never_run(hostile_report, opened):
    with opened(hostile_report) as (page, wrong):
        until(lambda: is_drawn(page))
        page.fill("#talk-search", "caught = 2")
        until(lambda: page.inner_text("#talk-count").startswith("1 conversation"))
        page.locator("#talk-list button").click()
        said = page.locator("#talk .message.user").evaluate("one => one.textContent")
        assert said == "user" + HOSTILE and HOSTILE in page.locator("#talk .words").evaluate("one => one.textContent")
        assert page.evaluate("window.caught") is None
        assert page.locator("img").count() == 0 and wrong == []


def test_what_gets_into_the_page_by_another_way_does_not_run_either(hostile_report, opened):
    with opened(hostile_report) as (page, wrong):
        page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'caught = 1'}))")
        assert page.evaluate("window.caught") is None and "Content Security Policy" in wrong[0]


def test_a_point_on_the_map_leads_to_its_person_and_on_to_the_dialogue(hostile_report, opened):
    with opened(hostile_report) as (page, _):
        page.locator("#map").scroll_into_view_if_needed()
        until(lambda: page.locator("#map-plane canvas").count())
        box = page.locator("#map-plane").bounding_box()
        for at in range(1, 800):
            x, y = box["x"] + at * 37 % box["width"], box["y"] + at * 7 % box["height"]
            page.mouse.move(x, y)
            if page.locator(".tip").is_visible() and "1 conversation" in page.inner_text(".tip"):
                break
        page.mouse.click(x, y)
        person = page.inner_text("#map-person .words")
        assert person[:40] in page.locator(".tip").evaluate("one => one.textContent")
        page.locator("#map-person .links button").first.click()
        assert page.inner_text("#talk .words") == person


def test_search_and_filters_narrow_the_list(hostile_report, opened):
    with opened(hostile_report) as (page, _):
        page.select_option("#talk-depth", "1")
        at_depth = page.locator("#talk-list button").count()
        assert 0 < at_depth < 24
        page.select_option("#talk-score", "0.8")
        assert 0 < page.locator("#talk-list button").count() < at_depth
        page.select_option("#talk-depth", "")
        page.select_option("#talk-score", "")
        page.fill("#talk-search", "question 17 ")
        until(lambda: page.locator("#talk-list button").count() == 1)
        page.fill("#map-search", "letters and hopes")
        until(lambda: "59 personas found" in page.inner_text("#map-matches"))


def test_the_keyboard_alone_reaches_a_persona_and_its_dialogue(hostile_report, opened):
    with opened(hostile_report) as (page, _):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
        page.locator("#map-search").focus()
        page.keyboard.type("keeps 3 letters")
        until(lambda: page.locator("#map-matches button").count() == 1)
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent").startswith("A 23-year-old"):
                break
        page.keyboard.press("Enter")
        assert "keeps 3 letters" in page.inner_text("#map-person .words")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_has_nothing_beyond_its_edge(hostile_report, opened, scheme):
    with opened(hostile_report, viewport={"width": 360, "height": 700}, color_scheme=scheme) as (page, wrong):
        until(lambda: is_drawn(page))
        assert page.evaluate("document.documentElement.scrollWidth") <= 360 and wrong == []


def test_on_paper_it_is_light_and_without_what_is_for_the_screen(hostile_report, opened):
    with opened(hostile_report, color_scheme="dark") as (page, _):
        until(lambda: is_drawn(page))
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not page.locator("nav.contents").is_visible() and not page.locator("#talk-search").is_visible()
        assert page.locator("#talk .message.user").first.is_visible()


def test_a_message_of_a_hundred_kilobytes_is_shown_whole(tmp_path, opened):
    path = write_report(made_run(tmp_path / "run", Made(hostile="A very long word. " * 6000)))
    with opened(path) as (page, wrong):
        page.fill("#talk-search", "very long word")
        until(lambda: page.locator("#talk-list button").count() == 1)
        page.locator("#talk-list button").click()
        assert len(page.locator("#talk .message.user").evaluate("one => one.textContent")) > 100_000 and wrong == []


@pytest.mark.parametrize("made", [Made(personas=0, conversations=0), Made(documents=0, personas=0, conversations=0)])
def test_a_run_that_found_nobody_is_a_page_too(tmp_path, opened, made):
    empty = replace(made, failures=0, points=0)
    with opened(write_report(made_run(tmp_path / "run", empty))) as (page, wrong):
        until(lambda: is_drawn(page))
        assert wrong == [] and "Nothing was given up" in page.inner_text("#failures")
        assert not page.locator("#map").is_visible() and not page.locator("#talks").is_visible()


@pytest.mark.slow
def test_a_hundred_thousand_personas_load_in_two_seconds_and_say_that_they_are_a_sample(tmp_path, opened):
    made = Made(documents=400, personas=100_000, conversations=20_000)
    begun = time.process_time()
    path = write_report(made_run(tmp_path / "run", made))
    assert path.stat().st_size < 6_000_000 and time.process_time() - begun < 30
    with opened(path) as (page, wrong):
        took = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        assert took < 2000
        assert "10,000 of 100,000 personas" in page.inner_text("#map-note")
        assert "sample of 1,000; the run has 20,000" in page.inner_text("#talk-count")
        page.locator("#map").scroll_into_view_if_needed()
        until(lambda: page.locator("#map-plane canvas").count())
        assert wrong == []
