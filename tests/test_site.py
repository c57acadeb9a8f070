"""The documentation as a site: it builds without warnings, its links hold, it fetches nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ("docs", "benchmarks", "dashboards", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
MORE = ("LICENSE", "CITATION.cff")  # what pages link to

pytest.importorskip("sphinx")
pytest.importorskip("furo")
pytest.importorskip("myst_nb")


class Page(HTMLParser):
    """What a page links to, what it loads, where one may link to, and its emphasised text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.emphasised: list[str] = []
        self._in_emphasis = False
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attributes if value}
        if "id" in found:
            self.anchors.add(found["id"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(found["href"])
        elif "src" in found:
            self.loads.append(found["src"])
        self._in_emphasis = tag == "em"

    def handle_endtag(self, tag: str) -> None:
        self._in_emphasis = False

    def handle_data(self, text: str) -> None:
        if self._in_emphasis:
            self.emphasised.append(text)


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """As ``make docs`` does."""
    (recipe,) = re.findall(r"^docs:.*\n\t\$\(BIN\)/sphinx-build (.*)$", MAKEFILE, re.MULTILINE)
    options = recipe.replace("build/doctrees", str(site.parent / "doctrees"))
    words = options.replace("build/site", str(site)).split()
    command = [sys.executable, "-m", "sphinx", *words]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)


MAKEFILE = (ROOT / "Makefile").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of this checkout."""
    folder = tmp_path_factory.mktemp("site") / "site"
    built = build(ROOT, folder)
    assert built.returncode == 0, built.stderr
    return folder


def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def broken(site: Path, found: dict[Path, Page]) -> Iterable[str]:
    """Links within the site that lead nowhere."""
    for path, page in found.items():
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = target.is_file() and target.is_relative_to(site.resolve())
            anchored = not parts.fragment or target not in found
            if not there or not (anchored or unquote(parts.fragment) in found[target].anchors):
                yield f"{path.relative_to(site)}: {link}"


@pytest.mark.slow
def test_all_links_lead_somewhere(site: Path) -> None:
    found = pages(site.resolve())
    assert len(found) > 14
    assert sum(len(page.links) for page in found.values()) > 500
    assert list(broken(site.resolve(), found)) == []


@pytest.mark.slow
def test_links_that_lead_nowhere_are_found(site: Path, tmp_path: Path) -> None:
    """Negative control."""
    page = tmp_path / "page.html"
    page.write_text('<p id="here"></p><a href="#here"></a><a href="#there"></a><img src="no.png">')
    folder = tmp_path.resolve()
    assert list(broken(folder, pages(folder))) == ["page.html: #there", "page.html: no.png"]


@pytest.mark.slow
def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for path, page in pages(site).items():
        assert [one for one in page.loads if urlsplit(one).netloc] == [], path
    for path in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()[^;)]*//", path.read_text()), path


@pytest.mark.slow
def test_every_page_is_in_the_contents(site: Path) -> None:
    first = Page(site / "docs" / "index.html")
    listed = {(site / "docs" / link.partition("#")[0]).resolve() for link in first.links}
    own = {"index.html", "genindex.html", "search.html"}
    missing = {path.resolve() for path in site.rglob("*.html") if path.name not in own} - listed
    assert not missing


@pytest.mark.slow
def test_no_formula_is_taken_for_emphasis(site: Path) -> None:
    """As u'_k Σ_{l<k} would be: an underscore after a mark begins emphasis."""
    for path, page in pages(site).items():
        assert [text for text in page.emphasised if re.search(r"[Σ{}|_]", text)] == [], path


@pytest.mark.slow
def test_the_notebook_has_its_outputs(site: Path) -> None:
    assert (site / "docs" / "tutorial.html").read_text().count("<img ") >= 3


@pytest.mark.slow
@pytest.mark.parametrize("link", ["no-such-page.md", "laptop.md#no-such-heading"])
def test_a_link_that_leads_nowhere_ends_the_build(link: str, tmp_path: Path) -> None:
    """Negative control."""
    source = tmp_path / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name)
        else:
            shutil.copy(ROOT / name, source)
    for name in MORE:
        shutil.copy(ROOT / name, source)
    page = source / "docs" / "cluster.md"
    page.write_text(f"{page.read_text()}\n[nowhere]({link})\n")
    built = build(source, tmp_path / "site")
    assert built.returncode != 0
    assert "cluster.md" in built.stderr
    assert built.stderr.count("WARNING") == 1


@pytest.mark.slow
def test_pictures_are_those_of_their_program(tmp_path: Path) -> None:
    """They are made anew without an error, under the names that are committed."""
    folder = ROOT / "docs" / "pictures"
    for program in folder.glob("*.py"):
        subprocess.run([sys.executable, str(program), str(tmp_path)], check=True, cwd=ROOT)
    assert {path.name for path in tmp_path.iterdir()} == {
        path.name for path in folder.glob("*.svg")
    }
