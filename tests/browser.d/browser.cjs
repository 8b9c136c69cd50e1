// Clicks through the page as an operator does. `tests/browser` sets the environment.
"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const readline = require("node:readline");
const axe = require("axe-core");
const { chromium } = require("playwright-core");

const LIMIT = 60_000; // a limit for a busy machine, not a measure

/** Starts the example with so many tasks, and returns its address and how to stop it. */
async function serve(tasks) {
  const server = spawn(process.env.DEMO, ["0", String(tasks)], { stdio: ["ignore", "pipe", "inherit"] });
  const [address] = await new Promise((resolve, reject) => {
    server.once("exit", () => reject(new Error("the example ended")));
    readline.createInterface({ input: server.stdout }).once("line", (line) => resolve([line]));
  });
  return { address, stop: () => server.kill() };
}

/** Opens a browser page that fails the test at any fault. */
async function open(browser, site, options, faults) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(LIMIT);
  const page = await context.newPage();
  page.on("console", (message) => {
    // A page that says 404 is an error on the console of Chromium.
    const isExpected = message.text().includes("status of 404") || message.text().includes("status of 400");
    if (["error", "warning"].includes(message.type()) && !isExpected) faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`script: ${error.message}`));
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(site.address)) faults.push(`a request to ${request.url()}`);
  });
  return page;
}

/** Fails at a serious accessibility fault. The tool runs in the page's own world, past its policy. */
async function accessible(page, what) {
  const client = await page.context().newCDPSession(page);
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await client.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    assert.equal(exceptionDetails, undefined, `${what}: axe could not run`);
    return result.value;
  };
  await evaluate(`${axe.source}; true`);
  const violations = await evaluate(
    "axe.run(document).then(({ violations }) => violations.map(({ id, impact, nodes }) => ({ id, impact, html: nodes[0].html })))",
  );
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(serious, [], `${what}: accessibility`);
}

async function fits(page, what) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(over <= 0, `${what} is ${over} pixels too wide`);
}

/** Follows the way of somebody who is called at night: overview, errors, group, redrive, task. */
async function redriveOfAGroup(page, site) {
  const group = "{id}: timed out after # s at extract (worker.rs:#)"; // of two lines
  await page.goto(site.address);
  await page.getByRole("link", { name: "See why" }).click();
  await page.getByRole("heading", { level: 1, name: "Errors" }).waitFor();
  const row = page.getByRole("row").filter({ hasText: "timed out after # s" });
  await row.getByRole("link", { name: "timed out after # s" }).click();
  await page.getByRole("heading", { level: 1, name: "Tasks" }).waitFor();
  assert.equal(await page.getByLabel("Error is").inputValue(), group);
  assert.equal(await page.locator("tbody tr").count(), 10);
  await page.goBack();
  await page.getByRole("heading", { level: 1, name: "Errors" }).waitFor();

  await row.getByRole("button", { name: /^Redrive/ }).click();
  await page.getByRole("heading", { level: 1, name: "Redrive?" }).waitFor();
  const command = await page.locator("pre.command").innerText();
  assert.equal(command.trim(), "tracker redrive --status ignored --error-group '" + group + "'");
  await accessible(page, "confirmation");
  await page.getByLabel(/Reason/).fill("the network is back");
  await page.getByRole("button", { name: "Redrive now" }).click();
  await page.getByText("Done.", { exact: true }).waitFor();
  assert.equal(await page.locator("dl dd").first().innerText(), "10");
  await page.goBack();
  await page.getByRole("heading", { level: 1, name: "Redrive?" }).waitFor();
  await page.goForward();
  await page.getByText("Done.", { exact: true }).waitFor();
  await accessible(page, "job");

  await page.goto(`${site.address}u/extract/task?id=doc-00002`);
  assert.equal(await page.locator(".status").first().innerText(), "Pending");
  await page.getByText("redriven by hand").first().waitFor();
  await page.goto(`${site.address}u/extract/errors`);
  assert.equal(await page.getByText("timed out after # s").count(), 0);
}

/** Cancels a task without a mouse. */
async function byKeyboard(page, site) {
  await page.goto(`${site.address}u/extract/task?id=doc-00006`);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  const until = async (text) => {
    for (let nth = 0; nth < 30; nth += 1) {
      if ((await page.evaluate(() => document.activeElement.textContent)) === text) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`no focus on ${text}`);
  };
  await until("Cancel");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Cancel?" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Cancel now");
  await page.keyboard.press("Enter");
  await page.getByText("Done.", { exact: true }).waitFor();
  await page.getByRole("link", { name: "Back to the tasks" }).click();
  assert.equal(await page.locator(".status").first().innerText(), "Ignored");
}

/** Redrives what is selected, and nothing else. */
async function selected(page, site) {
  await page.goto(`${site.address}u/extract/tasks?status=failed&order=oldest`);
  const boxes = page.locator('tbody input[type="checkbox"]');
  const count = await boxes.count();
  assert.ok(count > 2);
  await boxes.nth(0).check();
  await boxes.nth(1).check();
  await page.keyboard.press("Enter");
  assert.ok(page.url().includes("/tasks?"), "Enter on a box presses no button");
  await page.getByRole("button", { name: "Redrive selected" }).click();
  await page.getByText("2 tasks").waitFor();
  await page.getByRole("button", { name: "Redrive now" }).click();
  await page.getByText("Done.", { exact: true }).waitFor();
  await page.goto(`${site.address}u/extract/tasks?status=failed`);
  assert.equal(await page.locator("tbody tr").count(), count - 2);
}

/** Opens what somebody has written to break the page. */
async function hostile(page, site) {
  await page.goto(`${site.address}u/extract/tasks?details=1`);
  await page.getByRole("link", { name: "<script>" }).click();
  const title = await page.title();
  assert.ok(title.startsWith("Task <script>") && title.includes("\\u{202e}"), title);
  const shown = await page.locator("main").innerText();
  assert.ok(!shown.includes("\u202e") && shown.includes("<script>document.title='broken'</script>"));
  await page.goto(`${site.address}u/extract/tasks?prefix=long-`);
  await page.locator("tbody a").first().click();
  await page.getByRole("heading", { level: 1 }).waitFor();
  await fits(page, "a task with a long id");
}

/** The page refreshes itself, and says if it cannot. */
async function refresh(page, site) {
  await page.goto(`${site.address}u/extract/busy`);
  const before = await page.locator("#live time").first().getAttribute("datetime");
  assert.ok(before);
  site.stop();
  await page.locator("#lost").filter({ hasText: "The connection is lost" }).waitFor();
  assert.ok((await page.locator("tbody tr").count()) > 0, "what was known is still shown");
}

async function main() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
  const faults = [];
  const pages = ["", "u/extract/tasks?details=1", "u/extract/errors", "u/extract/task?id=doc-00002", "u/extract/busy", "u/extract/doctor"];
  const looks = [
    ["light", { colorScheme: "light", viewport: { width: 1280, height: 720 } }],
    ["dark", { colorScheme: "dark", viewport: { width: 1280, height: 720 } }],
    ["narrow", { colorScheme: "light", viewport: { width: 400, height: 800 } }],
    ["without JavaScript", { javaScriptEnabled: false }],
  ];
  try {
    for (const tasks of [0, 40]) {
      const site = await serve(tasks);
      try {
        for (const [name, options] of looks) {
          const page = await open(browser, site, options, faults);
          for (const path of pages) {
            if (tasks === 0 && path.includes("task?")) continue;
            const answer = await page.goto(site.address + path);
            assert.equal(answer.status(), 200, path);
            const what = `/${path}, ${name}, ${tasks} tasks`;
            if (options.javaScriptEnabled === false) continue;
            await accessible(page, what);
            await fits(page, what);
          }
          await page.context().close();
          console.log(`ok: every page, ${name}, ${tasks} tasks`);
        }
        if (tasks === 0) continue;
        const page = await open(browser, site, looks[0][1], faults);
        if (process.env.SCREENSHOT) {
          await page.goto(site.address);
          await page.screenshot({ path: process.env.SCREENSHOT, clip: { x: 0, y: 0, width: 1280, height: 470 } });
        }
        for (const way of [redriveOfAGroup, byKeyboard, selected, hostile]) {
          await way(page, site);
          console.log(`ok: ${way.name}`);
        }
        await page.context().close();
        const last = await open(browser, site, {}, []);
        await refresh(last, site);
        console.log("ok: refresh");
      } finally {
        site.stop();
      }
    }
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
  }
}

main().then(
  () => console.log("the page works in a browser"),
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
