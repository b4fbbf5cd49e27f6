"""How long a page takes to change: from the reader's click to the last thing that moves, in a real browser.

The real backend and dashboard. Each control is moved there and back, so that what it shows was shown before; what its
first showing takes is beside it. `python -m benchmarks --only pages`.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.claim import Claim, skipped
from benchmarks.subjects import CHECKPOINTS
from benchmarks.turns import Scale
from cifs.cli.demo import HOST, answers, backend_service, choose_port, dashboard_service, running

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
MODEL = "fmnist-resnet10-w16-natural"
ROUNDS, PATIENCE, QUIET = 4, 60_000, 400  # milliseconds: for a page; without a change, after which it is settled
REQUEST = ' HTTP/1.1"'  # in the backend's log, once a request
WATCH = """
(() => {
  const w = window.watched = {began: 0, told: 0, moved: 0};
  for (const kind of ['pointerdown', 'keydown'])
    document.addEventListener(kind, () => Object.assign(w, {began: performance.now(), told: 0, moved: 0}), true);
  window.WebSocket = class extends WebSocket {
    constructor(...given) { super(...given); this.addEventListener('message', () => w.told = performance.now()); }
  };
  const look = () => new MutationObserver(() => w.moved = performance.now()).observe(
    document.body, {subtree: true, childList: true, characterData: true, attributes: true});
  document.body ? look() : document.addEventListener('DOMContentLoaded', look);
})();
"""
SETTLED = f"""
watched.told > watched.began && performance.now() - Math.max(watched.told, watched.moved) > {QUIET}
  && document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'
"""


class Change(NamedTuple):
    key: str
    text: str
    address: str
    kind: str  # of widget
    where: str  # a selectbox's key
    there: str
    back: str


CHANGES = (
    Change("channels view", "Channels, another view", "/?index=0", "radio", "", "damp channels", "every channel"),
    Change("channels layer", "Channels, another layer", "/?index=0", "option", "layer", "layer3.0", "layer4.0"),
    Change("channels model", "Channels, another model", "/?index=0", "option", "model", "Vanilla AT", "Natural"),
    Change(
        "laboratory question", "Laboratory, another question", "/laboratory?index=34", "radio", "", "circuit",
        "who carried it",
    ),
    Change(
        "laboratory layer", "Laboratory, another layer", "/laboratory?index=34", "option", "layer", "layer3.0",
        "layer4.0",
    ),
    Change(
        "laboratory edit", "Laboratory, another edit by hand", "/laboratory?index=34&ask=by hand", "radio", "",
        "all PR channels", "all NR channels",
    ),
    Change("imgf function", "IMGF, another function", "/imgf?index=34", "radio", "", "softplus", "softmax"),
    Change("imgf layer", "IMGF, another layer", "/imgf?index=34", "option", "layer", "layer3.0", "layer4.0"),
    Change("classes layer", "Classes, another layer", "/classes", "option", "statistics-layer", "layer3.0", "layer4.0"),
)  # fmt: skip


OPENED = ("", "classes", "laboratory", "images", "lesson", "imgf", "robustness", "studies", "train", "jobs", "models")


def claims(scale: Scale) -> Iterator[Claim]:
    if (browser := find_browser()) is None:
        yield skipped("pages/all", "a change of a page", "there is no Chromium; name one with CHROMIUM=/path")
        return
    found: list[Claim] = []
    with TemporaryDirectory() as folder, served(Path(folder)) as url, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=list(FLAGS))
        yield opened(chromium, url, OPENED[: scale.of(len(OPENED), 1)])
        page = watched(chromium)
        for change in CHANGES[: scale.of(len(CHANGES), 1)]:
            found.append(measured(page, url, change, Path(folder) / "backend.log", scale.of(ROUNDS, 1)))
            yield found[-1]
    slowest = max(found, key=lambda claim: claim.figure or 0)
    yield replace(slowest, key="pages/slowest", text=f"the slowest of these: {slowest.text}")


def watched(browser: Browser) -> Page:
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.set_default_timeout(PATIENCE)
    page.add_init_script(WATCH)
    return page


def opened(browser: Browser, url: str, pages: Sequence[str]) -> Claim:
    """Each by a visitor whose browser has nothing of it yet; the first visitor of all is told apart."""
    took = {}
    for name in ("first", *pages):
        page = watched(browser)
        page.goto(f"{url}/{'' if name == 'first' else name}")
        page.wait_for_selector("h1")
        page.wait_for_function(SETTLED)
        took[name] = float(page.evaluate("watched.moved"))  # since the browser began to fetch it
        page.close()
    first, slowest = took.pop("first"), max(took, key=took.__getitem__)
    each = ", ".join(f"{name or 'channels'} {taken / 1000:.1f}" for name, taken in took.items())
    text = f"a page opened, in seconds: {each}; the first of a fresh server {first / 1000:.1f}"
    return Claim(
        "pages/opened",
        text,
        f"{slowest or 'channels'} {took[slowest] / 1000:.1f} s",
        figure=took[slowest],
        unit=" ms",
        digits=0,
    )


def find_browser() -> str | None:
    """As scripts/chromium.sh, which also installs one."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


def measured(page: Page, url: str, change: Change, log: Path, rounds: int) -> Claim:
    page.goto(f"{url}{change.address}{'&' if '?' in change.address else '?'}model={MODEL}")
    page.wait_for_selector(".js-plotly-plot")
    page.wait_for_function(SETTLED)
    first = timed(page, change, change.there)
    timed(page, change, change.back)
    asked = requests(log)
    again = [timed(page, change, name) for _ in range(rounds) for name in (change.there, change.back)]
    asked = requests(log) - asked
    text = f"{change.text}, shown before, against the first time ({asked} requests in {2 * rounds} changes)"
    ours = f"{median(again):.0f} ms ({min(again):.0f} to {max(again):.0f})"
    return Claim(f"pages/{change.key}", text, ours, f"{first:.0f} ms", median(again), " ms", 0)


def timed(page: Page, change: Change, name: str) -> float:
    """Milliseconds from the click to the last change of the page."""
    if change.kind == "option":
        page.locator(f".st-key-{change.where} input").click()
    page.get_by_role(change.kind, name=name).first.click()  # type: ignore[arg-type]
    page.wait_for_function(SETTLED)
    return float(page.evaluate("watched.moved - watched.began"))


def requests(log: Path) -> int:
    return log.read_text(errors="replace").count(REQUEST)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The dashboard's address."""
    api_port = choose_port(8000)
    page_port = choose_port(8501, taken=[api_port])
    api, url = f"http://{HOST}:{api_port}", f"http://{HOST}:{page_port}"
    with ExitStack() as stack:
        for service in (
            backend_service(api, api_port, str(CHECKPOINTS.resolve())),
            dashboard_service(api, url, page_port),
        ):
            stack.enter_context(running(service, folder))
            wait_for(lambda health=service.health: answers(health))  # type: ignore[misc]
        yield url


def wait_for(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE / 1000
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"a server does not answer within {PATIENCE / 1000:.0f} s")
        time.sleep(0.2)
