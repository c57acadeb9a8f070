"""The page in a browser: Debian's Chromium, driven by playwright; nothing is downloaded."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from page_server import Server, served
from small_sweeps import run_serially, spec, sweep

from mcrelu.errors import ExitCode
from mcrelu.experiments.base import CELLS
from mcrelu.store.output import Output
from mcrelu.store.reduce import reduce

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
expect = sync_api.expect

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SOON = 60_000  # milliseconds that a busy machine may take

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, as Debian packages it"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield found
        found.close()


Open = Callable[..., Any]


@pytest.fixture
def visit(browser: Any) -> Iterator[Open]:
    """Opens pages; in the end none may have complained or asked another server."""
    complaints: list[str] = []
    asked: set[str] = set()
    contexts = []

    def open_page(address: str, width: int = 1600, **given: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **given)
        context.set_default_timeout(SOON)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda one: asked.add(re.sub(r"(?<=[0-9])/.*", "", one.url)))
        page.goto(address)
        return page

    open_page.complaints = complaints  # type: ignore[attr-defined]
    yield open_page
    for context in contexts:
        context.close()
    assert not complaints
    assert all(re.fullmatch(r"http://127\.0\.0\.1:[0-9]+", one) for one in asked), asked


@pytest.fixture(scope="module")
def server(finished: Output) -> Iterator[Server]:
    with served(Path(finished.files.root)) as found:
        yield found


def texts(page: Any, selector: str) -> list[str]:
    found: list[str] = page.locator(selector).all_text_contents()
    return found


def scrolls_sideways(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def test_values_are_those_of_the_tables(server: Server, visit: Open, finished: Output) -> None:
    page = visit(server.address)
    page.locator(".point").first.wait_for()
    rows = finished.read_table(CELLS).to_pylist()
    labels = [page.locator(".point").nth(k).get_attribute("aria-label") for k in range(len(rows))]
    page.get_by_text("These numbers as a table").click()
    table = page.locator(".numbers tbody tr")
    for k, row in enumerate(rows):
        assert f"width {row['width']}: {row['estimate']:g} " in labels[k]
        assert f"{row['k_high']} of {row['networks']} networks" in labels[k]
        cells = table.nth(k).locator("td").all_text_contents()
        assert cells[:2] == [str(row["width"]), f"{row['estimate']:g}"]
        assert cells[3] == str(row["networks"])
    shares = page.locator(".cells .stack")
    for k, row in enumerate(rows):
        assert f"crossed {row['crossed']}" in shares.nth(k).get_attribute("aria-label")
    page.get_by_text("Figures as written").click()
    picture = page.locator(".pictures img").first
    picture.scroll_into_view_if_needed()
    page.wait_for_function(
        "() => { const one = document.querySelector('.pictures img');"
        " return one.complete && one.naturalWidth > 0 }"
    )


@pytest.mark.parametrize("width", [380, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_on_any_screen(
    width: int, scheme: str, server: Server, visit: Open, finished: Output
) -> None:
    page = visit(server.address, width=width, color_scheme=scheme)
    page.locator(".point").first.click()
    page.locator("[data-network]").first.click()
    page.locator("svg.film").wait_for()
    assert not scrolls_sideways(page)
    wide = page.locator("svg.chart").bounding_box()["width"]
    assert 300 < wide <= width
    red = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0]")
    assert (int(red) < 60) is (scheme == "dark")


def test_the_keyboard_reaches_everything(server: Server, visit: Open) -> None:
    page = visit(server.address)
    page.locator(".point").first.wait_for()
    focused = "document.activeElement"
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate(f"{focused}.classList.contains('point')"):
            break
    first = page.evaluate(f"{focused}.getAttribute('aria-label')")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(f"{focused}.getAttribute('aria-label')") != first
    assert page.evaluate(f"getComputedStyle({focused}.querySelector('.ring')).opacity") == "1"
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(f"{focused}.getAttribute('aria-label')") == first
    page.keyboard.press("Enter")
    page.locator("[data-network]").first.wait_for()
    assert "Networks" in page.evaluate(f"{focused}.textContent")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate(f"{focused}.dataset.network === '0'"):
            break
    page.keyboard.press("Enter")
    film = page.locator("svg.film")
    film.wait_for()
    page.locator(".play").focus()
    frame = int(film.get_attribute("data-frame"))
    before = page.locator(".function").get_attribute("d")
    expect(page.locator(".function")).not_to_have_attribute("d", before, timeout=SOON)
    assert int(film.get_attribute("data-frame")) > frame
    page.locator(".controls input").focus()
    page.keyboard.press("Home")
    expect(page.locator(".step")).to_contain_text("step 0")
    expect(page.locator(".play")).to_have_text("Play")
    page.keyboard.press("ArrowRight")
    assert film.get_attribute("data-frame") == "1"
    page.keyboard.press("Escape")
    expect(page.locator("#replay")).to_be_hidden()
    assert page.evaluate(f"{focused}.dataset.network") == "0"
    page.keyboard.press("Escape")
    expect(page.locator("#networks")).to_be_hidden()
    assert page.evaluate(f"{focused}.getAttribute('aria-label')") == first


def test_networks_come_page_by_page(tmp_path: Path, visit: Open) -> None:
    output = run_serially(tmp_path / "pages", sweep(networks=60, block_size=30))
    rows = output.networks(output.cells[0]).to_pylist()
    with served(tmp_path / "pages") as server:
        page = visit(server.address)
        page.locator(".point").first.click()
        seen = []
        for expected in (25, 5, 25, 5):  # a page is of one block
            expect(page.locator("[data-network]")).to_have_count(expected)
            seen += texts(page, "[data-network]")
            page.get_by_role("button", name="Next").click() if len(seen) < 60 else None
            page.wait_for_timeout(200)
        assert seen == [str(k) for k in range(60)]
        column = texts(page, "#networks thead th").index("status")
        told = page.locator("#networks tbody tr").last.locator("td").nth(column).text_content()
        assert told == ("crossed" if rows[-1]["status"] == 3 else "locally converged")
        page.close()  # before its server goes, which it would complain of


def test_a_run_is_seen_while_it_runs(tmp_path: Path, visit: Open) -> None:
    """A real sweep, in another process; the page is never loaded again."""
    slow = spec(
        cells={"width": [16], "optimizer": ["sgd"]}, stop=["crossing", "early_stopping"],
        networks=6000, block_size=50,
    )  # fmt: skip
    (tmp_path / "slow.yaml").write_text(json.dumps(slow))
    out = tmp_path / "out"
    with served(out) as server:
        page = visit(server.address)
        expect(page.locator("#head")).to_contain_text("no output of a sweep")
        page.evaluate("window.same = true")
        command = [sys.executable, "-m", "mcrelu", "run", "slow.yaml", "--serial", "--out", "out"]
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as run:
            expect(page.locator(".state")).to_have_text("running", timeout=SOON)
            page.locator(".point").wait_for()
            first = networks_of(page)
            expect(page.locator(".facts")).to_contain_text("networks/s", timeout=SOON)
            expect(page.locator(".facts")).to_contain_text("left", timeout=SOON)
            page.wait_for_function(
                "was => Number(document.querySelector('.point').getAttribute('aria-label')"
                ".replace(/\\u202f/g, '').match(/of ([0-9]+) networks/)[1]) > was",
                arg=first,
            )
            assert first < networks_of(page) <= 6000
            assert run.wait(300) == 0
        expect(page.locator(".state")).to_have_text("finished", timeout=SOON)
        expect(page.locator("#sections h2").first).to_be_visible()
        assert networks_of(page) == 6000
        assert page.evaluate("window.same") is True
        page.close()


def networks_of(page: Any) -> int:
    label = page.locator(".point").first.get_attribute("aria-label").replace("\u202f", "")
    return int(re.findall(r"of ([0-9]+) networks", label)[0])


def test_a_page_finds_its_server_again(folder: Path, visit: Open) -> None:
    server = Server([folder])
    page = visit(server.address)
    expect(page.locator("#link")).to_have_text("live")
    page.evaluate("window.same = true")
    assert server.end() == ExitCode.DONE
    expect(page.locator("#link")).to_contain_text("trying again", timeout=SOON)
    with served(folder, port=server.port):
        expect(page.locator("#link")).to_have_text("live", timeout=SOON)
        page.locator(".point").first.click()
        page.locator("[data-network]").first.wait_for()
        assert page.evaluate("window.same") is True
        page.close()
    complaints = visit.complaints  # type: ignore[attr-defined]
    assert all("ERR_CONNECTION_REFUSED" in one or "INCOMPLETE" in one for one in complaints)
    complaints.clear()  # that the server was away is what they say


def test_a_token_is_asked_for(folder: Path, visit: Open) -> None:
    with served(folder, token="secret") as server:
        assert server.address.endswith("/?token=secret")
        stranger = visit(server.address.partition("?")[0])
        assert "token: is missing or wrong" in stranger.locator("body").text_content()
        complaints = visit.complaints  # type: ignore[attr-defined]
        assert all("401" in one for one in complaints)
        complaints.clear()
        page = visit(server.address)
        page.locator(".point").first.wait_for()
        expect(page.locator("#link")).to_have_text("live")
        assert "secret" not in page.url
        page.close()


MARKUP = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """An output with markup wherever it may say anything; names of cells may not."""
    folder = tmp_path / "hostile"
    reduce(run_serially(folder, sweep(cells={"width": [4, 8]})))
    (folder / "spec.yaml").write_text((folder / "spec.yaml").read_text() + f"# {MARKUP}\n")
    (folder / "errors").mkdir()
    failure = dict.fromkeys(("error", "seed", "replay", "traceback"), MARKUP)
    failed = {**failure, "cell": {"width": MARKUP, MARKUP: [MARKUP]}, "block": MARKUP}
    (folder / "errors" / "x-000001.json").write_text(json.dumps(failed))
    (folder / "status.json").write_text(
        json.dumps({"state": "failed_blocks", "go_on": MARKUP, "seconds": MARKUP})
    )
    (folder / "figures").mkdir()
    drawing = (
        "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9' "
        "onload='window.hacked=1'><script>window.hacked=1</script></svg>"
    )
    (folder / "figures" / f"{MARKUP.replace('/', '')}.svg").write_text(drawing)
    return folder


def test_markup_stays_text(hostile: Path, visit: Open) -> None:
    with served(hostile) as server:
        page = visit(server.address)
        page.locator(".point").first.wait_for()
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        for place in ("#failures", "#spec"):
            expect(page.locator(place)).to_contain_text(MARKUP)
        assert page.locator("#failures pre").text_content() == MARKUP
        page.locator(".point").first.click()
        page.locator("#networks .turns").wait_for()
        page.locator(".pictures img").scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        injected = "document.querySelectorAll('img[src=x], script:not([src])').length"
        assert page.evaluate(injected) == 0
        assert page.evaluate("window.hacked") is None
        # The control: the same as markup would be there.
        page.evaluate("markup => { document.querySelector('#spec').innerHTML = markup }", MARKUP)
        assert page.evaluate(injected) == 2
        page.wait_for_timeout(300)
        assert page.evaluate("window.hacked") is None  # the policy would have kept it from running
        complaints = visit.complaints  # type: ignore[attr-defined]
        page.close()
        assert any("Content Security Policy" in one for one in complaints)
        complaints.clear()
