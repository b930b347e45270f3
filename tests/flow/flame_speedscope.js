// SPDX-License-Identifier: Apache-2.0
// Opens profiles in speedscope's own page, with its own importers, in Chromium, as a person would.
// flame_speedscope.js CHROMIUM FOLDER FILE...: FOLDER is the `dist/release` of npm's package. Prints a line of JSON
// for each file: its title there and the sandwich view's table (name, total, self), or exits with 1.
"use strict";
const assert = require("assert");
const fs = require("fs");
const os = require("os");
const path = require("path");
const { chromium } = require("playwright-core");

// The page takes a local profile as a script that hands it over, as `speedscope FILE` makes one.
function handOver(folder, file) {
  const script = path.join(folder, path.basename(file) + ".js");
  const bytes = JSON.stringify(fs.readFileSync(file).toString("base64"));
  fs.writeFileSync(script, `speedscope.loadFileFromBase64(${JSON.stringify(path.basename(file))}, ${bytes})`);
  return script;
}

async function load(page, release, script) {
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (line) => /Failed to load format/.test(line.text()) && complaints.push(line.text()));
  page.on("dialog", (dialog) => complaints.push(dialog.message()) && dialog.dismiss());
  await page.goto("file://" + path.resolve(release, "index.html") + "#localProfilePath=" + script.slice(1));
  const is_loaded = page.waitForFunction(() => document.title.endsWith(" - speedscope"), null, { timeout: 30000 });
  await is_loaded.catch(() => assert.fail(`not loaded: ${complaints.join("; ")}`));
  await page.keyboard.press("3"); // the sandwich view
  await page.waitForFunction(() => document.querySelectorAll("tr").length > 1);
  const rows = await page.$$eval("tr", (all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
  assert.deepStrictEqual(complaints, []);
  return { title: await page.title(), rows };
}

(async () => {
  const [browserPath, release, ...files] = process.argv.slice(2);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "speedscope-"));
  const browser = await chromium.launch({
    executablePath: browserPath,
    args: ["--no-sandbox", "--allow-file-access-from-files", "--use-gl=angle", "--use-angle=swiftshader",
      "--enable-unsafe-swiftshader"],
  });
  try {
    for (const file of files) {
      const page = await browser.newPage({ viewport: { width: 1600, height: 1200 } });
      console.log(JSON.stringify(await load(page, release, handOver(folder, path.resolve(file)))));
      await page.close();
    }
  } finally {
    await browser.close();
    fs.rmSync(folder, { recursive: true });
  }
})().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
