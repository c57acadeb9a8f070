"""Nobody but this machine's user reads the page, nobody writes through it: each with a control."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from asking import Answer, Client, ask, request, using

from mcrelu.serve.guard import LONGEST
from mcrelu.store.output import Output

TOKEN = "a long secret"
API = "/api/outputs/small"


def cell_of(finished: Output) -> str:
    return finished.cells[0].id


def paths(finished: Output) -> list[str]:
    """An address of every kind, except those that take long."""
    cell = f"{API}/cells/{cell_of(finished)}/networks"
    return ["/", "/static/page.js", "/api/outputs", API, f"{API}/figures/crossing.svg", cell]


def of_host(host: str) -> dict[str, str]:
    return {"Host": host}


def contents(folder: Path) -> dict[str, str]:
    """Every file of a folder, its content and when it was written."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
        for path in files
    }


def test_it_is_there(folder: Path, finished: Output) -> None:
    """The control of all refusals below: the same requests, as they should be."""

    async def all_of_them(client: Client) -> None:
        for path in paths(finished):
            answer = await request(client, path)
            assert answer.status == 200, path
            assert answer.body

    using([folder], all_of_them)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_only_reading_is_answered(method: str, folder: Path) -> None:
    answer = ask([folder], API, method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert "read" in answer.refusal


def test_head_is_answered(folder: Path) -> None:
    answer = ask([folder], API, "HEAD")
    assert answer.status == 200
    assert not answer.body


def test_nothing_is_written(folder: Path, finished: Output) -> None:
    before = contents(folder)

    async def everything(client: Client) -> None:
        for path in paths(finished):
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
                await request(client, path, method, data=b"x" if method != "GET" else None)

    using([folder], everything)
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
def test_this_machine_may_be_named(name: str, folder: Path) -> None:
    async def named(client: Client) -> Answer:
        return await request(client, API, headers=of_host(f"{name}:{client.port}"))

    assert using([folder], named).status == (200 if name.islower() or name[0] in "1[" else 421)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:{port}",
        "evil.example@127.0.0.1:{port}", "0.0.0.0:{port}", "localhost.:{port}",
    ],
)  # fmt: skip
def test_other_names_of_the_host_are_refused(host: str, folder: Path) -> None:
    """A page of the web whose name was made to point at this machine names itself."""

    async def named(client: Client) -> Answer:
        return await request(client, API, headers=of_host(host.format(port=client.port)))

    answer = using([folder], named)
    assert answer.status == 421
    assert "host" in answer.refusal


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("Host: 127.0.0.1:{port}", 200),
        ("Host: 127.0.0.1:{port}\r\nHost: evil.example", (400, 421)),
        ("Accept: */*", (400, 421)),
    ],
)
def test_a_request_names_one_host(lines: str, status: Any, folder: Path) -> None:
    async def raw(client: Client) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        head = f"GET /api/outputs HTTP/1.1\r\n{lines.format(port=client.port)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        answer = (await reader.read()).split()
        writer.close()
        return int(answer[1])

    found = using([folder], raw)
    assert found in (status if isinstance(status, tuple) else (status,))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_pages_of_other_sites_are_refused(
    headers: dict[str, str], status: int, folder: Path
) -> None:
    async def sent(client: Client) -> Answer:
        own = {name: value.format(port=client.port) for name, value in headers.items()}
        return await request(client, API, headers=own)

    answer = using([folder], sent)
    assert answer.status == status
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", ["/", API, "/nowhere", "/static/page.js"])
def test_every_answer_has_a_policy(path: str, folder: Path) -> None:
    headers = ask([folder], path).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_figures_can_do_nothing(folder: Path) -> None:
    answer = ask([folder], f"{API}/figures/crossing.svg")
    assert answer.headers["Content-Type"] == "image/svg+xml"
    policy = answer.headers["Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


# ----------------------------------------------------------------- what is not there, or no address


@pytest.mark.parametrize(
    "path",
    [
        "/static/../guard.py", "/static/%2e%2e%2fguard.py", "/static/..%2fguard.py",
        "/static/%2e%2e/guard.py", "//etc/passwd", "/static//etc/passwd", "/static/guard.py",
        f"{API}/figures/..%2f..%2fspec.yaml", f"{API}/figures/..%2fcrossing.svg",
        f"{API}/figures/%00.svg", f"{API}/../../spec.yaml", "/api/outputs/..%2fsmall",
        f"{API}/cells/..%2f..%2fshards/networks", f"{API}/cells/%2e%2e/networks",
    ],
)  # fmt: skip
def test_no_path_leads_out(path: str, folder: Path) -> None:
    answer = ask([folder], path)
    assert answer.status == 404
    assert answer.refusal
    assert b"import" not in answer.body
    assert b"root:" not in answer.body


@pytest.mark.parametrize(
    ("path", "status", "why"),
    [
        ("/api/outputs/other", 404, "output other"),
        ("/api/outputs/%3Cscript%3E", 404, "<script>"),
        (f"{API}/cells/ffff/networks", 404, "cell ffff"),
        (f"{API}/cells/{{cell}}/networks?first=25", 404, "0 to 24"),
        (f"{API}/cells/{{cell}}/networks?first=999999999999", 404, "0 to 24"),
        (f"{API}/cells/{{cell}}/networks?first=-1", 400, "first"),
        (f"{API}/cells/{{cell}}/networks?first=", 400, "first"),
        (f"{API}/cells/{{cell}}/networks?first=1e3", 400, "first"),
        (f"{API}/cells/{{cell}}/networks?first=NaN", 400, "first"),
        (f"{API}/cells/{{cell}}/networks?first=%D9%A3", 400, "first"),
        (f"{API}/cells/{{cell}}/networks?first={'9' * 400}", 400, "first"),
        (f"{API}/cells/{{cell}}/networks/x/replay", 400, "network"),
        (f"{API}/cells/{{cell}}/networks/25/replay", 404, "0 to 24"),
        (f"{API}/cells/ffff/networks/0/replay", 404, "cell ffff"),
        (f"{API}/figures/other.svg", 404, "other"),
        (f"/api/outputs?{'x' * LONGEST}", 414, "long"),
        (f"/api/outputs/{'x' * 6000}", 414, "long"),
        ("/nowhere", 404, "Not Found"),
    ],
)
def test_what_is_not_there_is_told_in_a_line(
    path: str, status: int, why: str, folder: Path, finished: Output
) -> None:
    answer = ask([folder], path.replace("{cell}", cell_of(finished)))
    assert answer.status == status
    assert why in answer.refusal


def test_there_are_networks_at_those_addresses(folder: Path, finished: Output) -> None:
    """The control: the last network of a cell, which has 25."""
    answer = ask([folder], f"{API}/cells/{cell_of(finished)}/networks?first=24")
    assert answer.status == 200
    assert answer.value["rows"][0][0] == 24


# ------------------------------------------------------------------------------------------ token


def test_without_the_token_nothing_is_told(folder: Path, finished: Output) -> None:
    async def nobody(client: Client) -> None:
        for path in [*paths(finished), "/api/events", "/nowhere"]:
            for cookies in ({}, {f"mcrelu-{client.port}": "wrong"}, {"mcrelu-1": TOKEN}):
                answer = await request(client, path, headers=_cookie(cookies))
                assert answer.status == 401, path
                assert TOKEN not in answer.body.decode()
                assert "token" in answer.refusal

    using([folder], nobody, token=TOKEN)


@pytest.mark.parametrize("given", ["wrong", "", "a long secre", "a long secret ", "%C3%A4"])
def test_a_wrong_token_opens_nothing(given: str, folder: Path) -> None:
    async def guess(client: Client) -> Answer:
        return await request(client, f"/?token={given.replace(' ', '%20')}")

    answer = using([folder], guess, token=TOKEN)
    assert answer.status == 401
    assert "Set-Cookie" not in answer.headers


def test_the_token_is_handed_over_once(folder: Path, finished: Output) -> None:
    async def enter(client: Client) -> None:
        entry = await request(client, f"/?token={TOKEN.replace(' ', '%20')}")
        assert entry.status == 303
        assert entry.headers["Location"] == "/"
        cookie = entry.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        kept = {"Cookie": cookie.partition(";")[0]}
        for path in paths(finished):
            answer = await request(client, path, headers=kept)
            assert answer.status == 200, path
        elsewhere = await request(client, f"{API}?token={TOKEN.replace(' ', '%20')}")
        assert elsewhere.status == 401

    using([folder], enter, token=TOKEN)


def _cookie(cookies: dict[str, str]) -> dict[str, str]:
    text = "; ".join(f'{name}="{value}"' for name, value in cookies.items())
    return {"Cookie": text} if text else {}
