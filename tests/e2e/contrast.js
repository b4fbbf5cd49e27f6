// The texts on the page that fall short of WCAG's 4.5:1, with their contrast: each over all backgrounds that lie below it.
() => {
  const linear = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = (c) => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]) + 0.05;
  const colour = (text) => {
    const numbers = (text.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
    const scale = text.startsWith("color(") ? 255 : 1;
    return [...numbers.slice(0, 3).map((n) => n * scale), numbers[3] ?? 1];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const ancestors = (e) => (e ? [e, ...ancestors(e.parentElement)] : []);
  const background = (e) =>
    ancestors(e).map((a) => colour(getComputedStyle(a).backgroundColor)).reverse().reduce((b, c) => over(c, b), [255, 255, 255]);
  const opacity = (e) => ancestors(e).reduce((o, a) => o * getComputedStyle(a).opacity, 1);
  const short = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || e.closest("script, style, [aria-hidden=true], [data-testid=stIconMaterial]")) continue;
    const box = e.getBoundingClientRect(), style = getComputedStyle(e), svg = e.closest("svg");
    if (!box.width || !box.height || style.visibility === "hidden") continue;
    const ink = colour(svg ? style.fill : style.color), paper = background(svg ? svg.parentElement : e);
    const lights = [light(over([...ink.slice(0, 3), ink[3] * opacity(e)], paper)), light(paper)];
    const contrast = Math.max(...lights) / Math.min(...lights);
    if (contrast < 4.5) short.push(`${contrast.toFixed(2)} ${text.slice(0, 40)}`);
  }
  return short;
}
