"""By the keyboard alone: every control is reached, one sees where one is, a channel is chosen and an attack started."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.test_dashboard import MODEL, assert_healthy, settle

pytestmark = pytest.mark.e2e

ADDRESSES = ["?index=0", "laboratory?index=34", "imgf?index=34", "robustness?show=bars", "lesson"]
MOST = 150  # steps; no page has as many controls
PAGE = """(() => {
  const usable = 'button, a[href], input, textarea, summary';
  const groups = new Set(), visited = new Map();
  const group = e => e.closest('[role=radiogroup]');
  const looks = e => { const all = []; for (let k = 0; e && k < 6; k++, e = e.parentElement) {
    const {outline, boxShadow, borderColor, backgroundColor} = getComputedStyle(e);
    all.push(outline, boxShadow, borderColor, backgroundColor); } return all.join(); };
  const inSight = e => e.checkVisibility({visibilityProperty: true, opacityProperty: true})
    && e.getBoundingClientRect().width > 1 && !e.disabled && !e.closest('[aria-hidden=true], [inert]');
  const name = e => `${e.tagName} ${e.ariaLabel || e.innerText || e.dataset.title}`.slice(0, 60);
  return {
    // false once the walk is round; of a group of radio buttons one is enough, arrows lead to the others
    visit: () => {
      const here = document.activeElement, known = visited.has(here);
      if (here !== document.body && !known) visited.set(here, looks(here));
      return !known;
    },
    missed: () => Array.from(document.querySelectorAll(usable)).filter(e => inSight(e) && !visited.has(e) && (group(e)
      ? !groups.has(group(e)) && groups.add(group(e)) && !Array.from(visited.keys()).some(v => group(v) === group(e))
      : e.tabIndex >= 0)).map(name),
    unseen: () => Array.from(visited).filter(([e, then]) => e.matches(usable) && looks(e) === then)
      .map(([e]) => name(e)),
  };
})()"""


def walk(page: Page) -> None:
    """From control to control until the first comes again."""
    page.add_style_tag(content="* { transition: none !important; animation: none !important }")  # the focus fades in
    page.evaluate(f"window.walk = {PAGE}")
    for _ in range(MOST):
        page.keyboard.press("Tab")
        page.wait_for_timeout(30)
        if not page.evaluate("walk.visit()"):
            break
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(500)


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_keyboard_reaches_every_control_and_shows_where_it_is(dashboard: str, page: Page, address: str) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(f"{dashboard}/{address}{'&' if '?' in address else '?'}model={MODEL}")
    expect(page.locator(".st-key-navigation a").last).to_be_attached()  # written last
    settle(page)
    page.wait_for_timeout(3000)  # charts have their buttons
    walk(page)
    assert page.evaluate("walk.missed()") == []
    assert page.evaluate("walk.unseen()") == []


def test_a_channel_is_chosen_and_an_attack_started_by_the_keyboard(dashboard: str, page: Page) -> None:
    page.goto(f"{dashboard}/?model={MODEL}&index=0")
    settle(page)
    page.get_by_role("combobox", name="Channel, the most relevant first").focus()
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url("**channel=*")
    settle(page)
    page.get_by_role("textbox", name="ε").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("0.05")
    page.keyboard.press("Enter")
    settle(page)
    page.get_by_role("button", name="Attack", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**attack.eps=0.05*")
    settle(page)
    expect(page.get_by_text("ε = 0.05").first).to_be_visible()
    assert_healthy(page)
