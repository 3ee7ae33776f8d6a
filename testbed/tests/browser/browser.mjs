// Visitors of the sign-in page in Chromium, and what is looked at in every state of it: a picture, its width, what
// axe-core says, and that no password comes back.
//
//   node SCRIPT API FOLDER USERS
//
// API is the relay's address, FOLDER takes the screenshots, USERS is the list of `postern up --json`.
// POSTERN_TEST_BROWSER is the folder with node_modules. A script prints a line for each check that held; the first that
// does not ends it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

export const [api, folder, usersJson] = process.argv.slice(2);
const modules = createRequire(path.join(process.env.POSTERN_TEST_BROWSER, "package.json"));
const { chromium } = modules("playwright-core");
const axe = readFileSync(modules.resolve("axe-core/axe.min.js"), "utf8");
export const everybody = JSON.parse(usersJson);
export const users = new Map(everybody.map((user) => [user.expect, user]));
export const good = users.get("success");

export const WRONG = "Wrong-Everywhere-0";
const secrets = [WRONG, ...everybody.map((user) => user.password)];

// From one check to the next it never takes so long; what hangs should say where.
const hangs = setTimeout(() => {
  console.error("hangs after the checks above");
  process.exit(1);
}, 300_000);
hangs.unref();

const browser = await chromium.launch({
  executablePath: process.env.POSTERN_TEST_CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  timeout: 60_000,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});

// What a visit looks like.
export const LOOKS = {
  light: { colorScheme: "light", viewport: { width: 1280, height: 800 } },
  dark: { colorScheme: "dark", viewport: { width: 1280, height: 800 } },
  phone: { colorScheme: "light", viewport: { width: 320, height: 568 }, hasTouch: true, deviceScaleFactor: 2 },
  "phone-dark": { colorScheme: "dark", viewport: { width: 390, height: 844 }, hasTouch: true, deviceScaleFactor: 2 },
  // As the light one, enlarged to 200 %.
  zoomed: { colorScheme: "light", viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 },
  // The few colours that the system's owner has chosen.
  forced: { colorScheme: "dark", forcedColors: "active", viewport: { width: 1280, height: 800 } },
};

// Opens a browser of its own, as good as new; everything that it sends and that goes wrong is noted. `headers` go with
// everything that it asks for, and `elsewhere` is another site that it may ask.
export async function visit(name, { script = true, headers = {}, elsewhere } = {}) {
  // The certificate is of an authority that no browser knows; who may be believed is not what is tried here.
  const options = { ...LOOKS[name], ignoreHTTPSErrors: true };
  const context = await browser.newContext({ ...options, javaScriptEnabled: script, extraHTTPHeaders: headers });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const posted = [];
  const complaints = [];
  const answers = [];
  const read = { all: 0, posts: 0 };
  page.on("request", (request) => {
    const url = request.url();
    assert.ok(url.startsWith(`${api}/`) || (elsewhere && url.startsWith(elsewhere)), `the page asked ${url}`);
    if (request.method() === "POST") posted.push(request.postData());
  });
  page.on("response", (response) => {
    if (!response.url().startsWith(`${api}/`)) return;
    answers.push(
      response.text().then(
        (text) => {
          read.all += 1;
          if (response.request().method() === "POST") read.posts += 1;
          if (secrets.some((secret) => text.includes(secret))) complaints.push(`${response.url()} answered a password`);
        },
        // The browser keeps no body of a redirect, and not every one of a page that it has left.
        () => {},
      ),
    );
  });
  page.on("console", (message) => {
    // The browser's own note on an answer of 4xx or 5xx is no defect of the page.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  return {
    page,
    posted,
    script,
    options,
    close: async () => {
      await Promise.all(answers);
      assert.ok(read.all > read.posts && (read.posts > 0 || posted.length === 0), `answers were looked at: ${JSON.stringify(read)}`);
      assert.deepEqual(complaints, []);
      await context.close();
    },
  };
}

// Looks at the state that the page is in: a picture, its width, and what axe-core says of it.
export async function look({ page, script, options }, name) {
  await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });
  const wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
  assert.equal(wide, 0, `${name} is wider than its window`);
  const seen = await (script ? analyse(page) : analyseCopy(page, options));
  const serious = seen.violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), [], name);
}

// By the browser's own debugging interface, which the page's policy does not keep out.
function analyse(page) {
  return page.evaluate(`${axe}; axe.run(document, { resultTypes: ["violations"] })`);
}

// axe-core needs JavaScript: where that is off it looks at the same page in another tab, without the page's script.
async function analyseCopy(page, options) {
  const html = await page.content();
  const context = await browser.newContext(options);
  const copy = await context.newPage();
  await copy.route("**/sign-in.js*", (route) => route.abort());
  await copy.route(`${api}/copy`, (route) => route.fulfill({ contentType: "text/html; charset=utf-8", body: html }));
  await copy.goto(`${api}/copy`);
  const seen = await analyse(copy);
  await context.close();
  return seen;
}

export async function firstStep({ page }, username) {
  await page.goto(`${api}/`);
  await page.getByLabel("User name").fill(username);
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByLabel("Password").waitFor();
}

export async function secondStep({ page }, password) {
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

export async function heading({ page }, text) {
  await page.getByRole("heading", { name: text }).waitFor();
}

export function held(what) {
  console.log(`ok ${what}`);
  hangs.refresh();
}

// What was posted, as a form.
export function lastForm(posted) {
  return new URLSearchParams(posted.at(-1));
}

export function sealedInBrowser(posted) {
  const form = lastForm(posted);
  assert.deepEqual([...form.keys()], ["username", "jwe"]);
  const jwe = JSON.parse(form.get("jwe"));
  assert.ok(jwe.recipients.length > 0 && jwe.ciphertext);
  for (const body of posted) {
    for (const secret of secrets) assert.ok(!decodeURIComponent(body).includes(secret), "a password was posted");
  }
}

// The end of a script that came so far.
export async function finish() {
  await browser.close();
  held("all");
}
