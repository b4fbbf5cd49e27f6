"""The dashboard in a real browser, on the real backend and the embedded natural model.

With CIFS_SCREENSHOTS=1 the pictures of the README are taken on the way.
"""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from benchmarks.pages import find_browser
from tests import servers
from tests.servers import free_port

pytestmark = pytest.mark.e2e

MODEL = "fmnist-resnet10-w16-natural"
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
CHART = ".st-key-channel-chart .js-plotly-plot"
PATIENCE = 30_000  # milliseconds
# Streamlit says "notRunning" until the server has begun on a click, so that a message sent is followed by a run's end.
# Some messages start none: then it is enough that nothing was sent for two seconds.
SETTLED = """() => {
  const app = document.querySelector("[data-testid=stApp]"), state = () => app.dataset.testScriptState;
  if (!app) return false;
  if (!window.runs) {
    const runs = window.runs = {asked: state() === "notRunning" ? -Infinity : performance.now(), ended: 0};
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (...a) { runs.asked = performance.now(); return send.apply(this, a); };
    new MutationObserver(() => { if (state() === "notRunning") runs.ended = performance.now(); })
      .observe(app, {attributeFilter: ["data-test-script-state"]});
  }
  return state() === "notRunning" && (runs.ended >= runs.asked || performance.now() - runs.asked > 2000);
}"""
WIDTHS = "Array.from(document.querySelectorAll('.stPlotlyChart'), chart => chart.getBoundingClientRect().width)"
UNFIT = """Array.from(document.querySelectorAll('.js-plotly-plot'), chart => {
  const {margin, _size} = chart._fullLayout;
  return ['l', 'r', 't', 'b'].filter(side => _size[side] !== margin[side]).map(
    side => `${chart.parentElement.ariaLabel}: ${side} ${_size[side]}, not ${margin[side]}`);
}).flat()"""


def browser_path() -> str:
    if (found := find_browser()) is None:
        pytest.fail(
            "no browser: install Debian's package chromium, or say where one is with CHROMIUM=/path/to/chromium"
        )
    return found


def settle(page: Page) -> None:
    """Wait until the page computes no more; what was just clicked is computed first."""
    page.wait_for_function(SETTLED)
    expect(page.get_by_test_id("stSpinner")).to_have_count(0)


def curves(page: Page) -> dict[str, list[float]]:
    """What the channel chart draws, by name."""
    page.wait_for_selector(CHART)
    read = f"Array.from(document.querySelector('{CHART}')._fullData, t => [t.name, Array.from(t.y)])"
    return dict(page.evaluate(read))


def assert_healthy(page: Page) -> None:
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_text("Traceback")).to_have_count(0)
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)


def photograph(page: Page, path: Path, *, height: int) -> None:
    """The whole page: Streamlit scrolls inside, so the window has to be tall enough."""
    page.set_viewport_size({"width": 1440, "height": height})
    settle(page)
    page.wait_for_timeout(1500)  # charts redraw after a resize
    page.screenshot(path=path)


def test_an_attack_flips_the_prediction_and_moves_the_channels(dashboard: str, page: Page, screenshots: Path) -> None:
    page.goto(f"{dashboard}/?model={MODEL}&index=0&attack.eps=0")
    expect(page.get_by_text("Not fooled.")).to_be_visible()
    settle(page)
    before = curves(page)
    assert len(before["natural"]) == 128
    assert before["adversarial"] == pytest.approx(before["natural"], abs=1e-4)  # ε = 0: nothing happened

    page.get_by_role("textbox", name="ε").fill("0.1")
    page.get_by_role("button", name="Attack", exact=True).click()
    expect(page.get_by_text("Fooled.", exact=True)).to_be_visible()
    settle(page)
    after = curves(page)
    assert after["natural"] == pytest.approx(before["natural"], abs=1e-4)
    assert max(abs(a - n) for a, n in zip(after["adversarial"], after["natural"], strict=True)) > 0.1
    assert "attack.eps" not in page.url  # 0.1 is the model's usual budget
    assert_healthy(page)
    page.goto(dashboard)
    page.wait_for_selector(".st-key-maps .js-plotly-plot")
    photograph(page, screenshots / "channels.png", height=1480)


@pytest.mark.parametrize("address", ["?index=0", "imgf?index=34", "classes", "laboratory?index=34"])
def test_charts_are_drawn_once(dashboard: str, page: Page, address: str) -> None:
    """Where labels and titles find no room in the margins, or the width is none of whole pixels, all is drawn twice."""
    page.goto(f"{dashboard}/{address}{'&' if '?' in address else '?'}model={MODEL}")
    settle(page)
    page.wait_for_selector(".js-plotly-plot .main-svg")
    assert page.evaluate(UNFIT) == []
    assert all(width.is_integer() for width in map(float, page.evaluate(WIDTHS)))


def test_a_click_on_the_chart_picks_a_channel(dashboard: str, page: Page) -> None:
    page.goto(f"{dashboard}/?model={MODEL}&index=0")
    settle(page)
    page.wait_for_selector(CHART)
    most_relevant = page.evaluate(f"document.querySelector('{CHART}')._fullData[0].customdata[0]")
    area = page.locator(f"{CHART} .nsewdrag").last  # the relevance strip: every channel has a bar there
    box = area.bounding_box()
    assert box is not None
    area.click(position={"x": box["width"] / 128 * 0.8, "y": box["height"] * 0.3})
    page.wait_for_url(f"**channel={most_relevant}*")
    settle(page)
    expect(page.get_by_text(f"Where channel {most_relevant} fires.")).to_be_visible()
    assert_healthy(page)


def test_the_other_pages_open_from_the_navigation(dashboard: str, page: Page, screenshots: Path) -> None:
    page.goto(f"{dashboard}/?model={MODEL}&index=1&layer=layer3.0")
    settle(page)
    page.get_by_role("link", name="IMGF").click()
    expect(page.get_by_role("heading", name="From relevance to importance")).to_be_visible()
    settle(page)
    page.wait_for_url("**index=1*layer=layer3.0*")  # the choices came along
    expect(page.locator(".st-key-layer input")).to_have_value("layer3.0: 64 × 7×7")
    page.wait_for_selector(".st-key-road .js-plotly-plot")
    assert_healthy(page)
    page.goto(f"{dashboard}/imgf?imgf=softplus")
    expect(page.get_by_role("heading", name="What the network would then say")).to_be_visible()
    photograph(page, screenshots / "imgf.png", height=1560)

    page.get_by_role("link", name="Robustness").click()
    expect(page.get_by_role("heading", name="How robust is it, really?")).to_be_visible()
    settle(page)
    expect(page.locator("table.robustness u").first).to_be_visible()
    assert_healthy(page)
    photograph(page, screenshots / "robustness.png", height=900)


def test_the_margin_a_weaker_attacker_would_have_reported_is_beside_the_honest_one(
    dashboard: str, page: Page, screenshots: Path
) -> None:
    models = "first=fmnist-resnet10-w16-cifs-softmax&second=fmnist-resnet10-w16-vanilla"
    page.goto(f"{dashboard}/robustness?show=difference&group=fashion_mnist, resnet10, width 16, ε = 0.1&{models}")
    expect(page.get_by_role("heading", name="What a weaker attacker would have reported")).to_be_visible()
    chart = ".st-key-settings .js-plotly-plot"
    page.wait_for_selector(chart)
    read = f"(t => [Array.from(t.y), Array.from(t.x), t.marker.symbol])(document.querySelector('{chart}')._fullData[0])"
    labels, ahead, symbols = page.evaluate(read)
    margins = dict(zip(labels, ahead, strict=True))
    assert len(margins) == 9
    assert margins["β = ∞"] > 1  # attacked through its probes alone CIFS would seem to be ahead
    counted = labels[symbols.index("circle")]
    assert margins[counted] == min(ahead) < 0  # the strongest attack takes that away
    assert_healthy(page)
    page.set_viewport_size({"width": 1440, "height": 2050})
    settle(page)
    page.wait_for_timeout(1500)  # charts redraw after a resize
    page.locator(chart).screenshot(path=screenshots / "difference.png")


def test_a_backend_that_is_gone_is_explained(tmp_path: Path, page: Page) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with servers.dashboard_of(nobody, tmp_path) as url:
        page.goto(url)
        expect(page.get_by_text(f"Nothing answers at {nobody}")).to_be_visible()
        expect(page.get_by_role("button", name="Retry")).to_be_visible()
        expect(page.get_by_test_id("stException")).to_have_count(0)
