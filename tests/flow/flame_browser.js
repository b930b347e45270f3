// SPDX-License-Identifier: Apache-2.0
// Opens a flame graph as a file in Chromium and uses it as a person would: points, zooms, searches, resets.
// flame_browser.js CHROMIUM FILE [SCREENSHOT]: exit status 0 and what it saw, or 1 and what is wrong.
"use strict";
const assert = require("assert");
const path = require("path");
const { chromium } = require("playwright-core");

const visible = (page) => page.$$eval(".f", (all) => all.filter((g) => g.style.display !== "none").length);
const widthOf = (frame) => frame.$eval("rect", (rect) => parseFloat(rect.getAttribute("width")));

async function use(page, file, screenshot) {
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
  await page.goto("file://" + path.resolve(file));
  const all = await visible(page);
  assert(all > 3, "no frames");
  if (screenshot) await page.screenshot({ path: screenshot });

  const lock = await page.$('.f:has(title:text-matches("^\\\\[lock\\\\]"))');
  assert(lock, "no frame [lock]");
  await lock.hover();
  const said = await page.textContent("#say");
  assert(/^\[lock\]: .* \(.* %\), [0-9,]+ ns$/.test(said), said);

  const before = await widthOf(lock);
  await lock.click();
  assert((await widthOf(lock)) > 1190, "a click does not zoom");
  assert((await visible(page)) < all, "zooming hides nothing");
  assert((await page.$$(".f.p")).length > 0, "what is around a zoomed frame is not faded");
  if (screenshot) await page.screenshot({ path: screenshot.replace(".png", "-zoomed.png") });
  await page.click("#reset");
  assert(Math.abs((await widthOf(lock)) - before) < 0.5 && (await visible(page)) === all, "reset does not restore");

  page.once("dialog", (dialog) => dialog.accept("^\\[(lock|net)\\]"));
  await page.click("#search");
  const hits = await page.textContent("#hits");
  assert(/^[0-9.]+ % match$/.test(hits) && !hits.startsWith("0.0"), hits);
  const marked = await page.$$eval(".f.h", (found) => found.length);
  assert(marked >= 2, "nothing is marked");
  if (screenshot) await page.screenshot({ path: screenshot.replace(".png", "-search.png") });
  await page.keyboard.press("Escape");
  assert.strictEqual(await page.$$eval(".f.h", (found) => found.length), 0);
  assert.deepStrictEqual(complaints, []);
  return `${all} frames; pointed: ${said}; searched: ${hits}`;
}

(async () => {
  const [browserPath, file, screenshot] = process.argv.slice(2);
  const browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox"] });
  try {
    console.log(await use(await browser.newPage({ viewport: { width: 1220, height: 700 } }), file, screenshot));
  } finally {
    await browser.close();
  }
})().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
