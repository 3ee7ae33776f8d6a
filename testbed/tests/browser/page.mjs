// Drives the sign-in page of one organisation as people do, through every outcome, sealed in the browser and by the
// site. See browser.mjs for how it is started.

import assert from "node:assert/strict";
import path from "node:path";

import {
  LOOKS,
  WRONG,
  api,
  everybody,
  finish,
  firstStep,
  folder,
  good,
  heading,
  held,
  lastForm,
  look,
  sealedInBrowser,
  secondStep,
  users,
  visit,
} from "./browser.mjs";

const ENDS = [
  ["success", "You are signed in"],
  ["password_expired", "Your password has expired"],
  ["password_must_change", "Choose a new password first"],
  ["account_disabled", "Your account is switched off"],
  ["account_expired", "Your account has ended"],
  ["account_locked", "Your account is locked"],
  ["logon_hours", "Not at this time"],
  ["logon_workstation", "Not from here"],
];

for (const name of Object.keys(LOOKS)) {
  const visitor = await visit(name);
  await visitor.page.goto(`${api}/`);
  await look(visitor, `${name}-1-name`);
  await firstStep(visitor, good.username);
  await visitor.page.getByText("It is sealed in this browser").waitFor();
  await look(visitor, `${name}-2-password`);
  for (const [expect, title] of ENDS) {
    const user = users.get(expect);
    await firstStep(visitor, user.username);
    await secondStep(visitor, user.password);
    await heading(visitor, title);
    sealedInBrowser(visitor.posted);
    await look(visitor, `${name}-3-${expect}`);
  }
  await firstStep(visitor, good.username);
  await secondStep(visitor, WRONG);
  await visitor.page.getByRole("alert").filter({ hasText: "do not match" }).waitFor();
  sealedInBrowser(visitor.posted);
  const password = visitor.page.getByLabel("Password");
  assert.equal(await password.inputValue(), "");
  assert.equal(await password.evaluate((field) => field === document.activeElement), true, "the password has the focus");
  await look(visitor, `${name}-4-wrong`);
  await secondStep(visitor, good.password);
  await heading(visitor, "You are signed in");
  await visitor.page.getByText("sealed in your browser").waitFor();
  await visitor.close();
  held(`every outcome, sealed in the browser: ${name}`);
}

for (const name of ["light", "dark"]) {
  const visitor = await visit(name, { script: false });
  await firstStep(visitor, good.username);
  await visitor.page.getByText("This site seals it").waitFor();
  await secondStep(visitor, good.password);
  await heading(visitor, "You are signed in");
  await visitor.page.getByText("This site sealed your password").waitFor();
  assert.deepEqual([...lastForm(visitor.posted).keys()], ["username", "password"]);
  await look(visitor, `${name}-5-no-script`);
  for (const [expect, title] of ENDS.slice(1, 6)) {
    const user = users.get(expect);
    await firstStep(visitor, user.username);
    await secondStep(visitor, user.password);
    await heading(visitor, title);
  }
  await firstStep(visitor, good.username);
  await secondStep(visitor, WRONG);
  await visitor.page.getByRole("alert").waitFor();
  assert.equal(await visitor.page.getByLabel("Password").inputValue(), "");
  await look(visitor, `${name}-5-no-script-wrong`);
  await visitor.close();
  held(`without JavaScript the site seals, and says so: ${name}`);
}

for (const script of [true, false]) {
  const visitor = await visit("light", { script });
  for (const user of everybody.filter(({ expect }) => expect === "success")) {
    await firstStep(visitor, user.username);
    await secondStep(visitor, user.password);
    await heading(visitor, "You are signed in");
  }
  await visitor.close();
  held(`names and passwords with other letters: script ${script}`);
}

{
  const visitor = await visit("light");
  const { page } = visitor;
  const type = (text) => page.keyboard.type(text);
  const press = (key) => page.keyboard.press(key);
  await page.goto(`${api}/`);
  await type("nobody");
  await press("Enter");
  await page.getByRole("alert").filter({ hasText: "full user name" }).waitFor();
  await look(visitor, "light-6-name-refused");
  await press("Control+A");
  await type(good.username);
  await press("Tab");
  assert.equal(await page.evaluate("document.activeElement.textContent"), "Next");
  await look(visitor, "light-6-keyboard-next");
  await press("Enter");
  await page.getByLabel("Password").waitFor();
  await press("Shift+Tab");
  assert.equal(await page.evaluate("document.activeElement.textContent"), "Not you?");
  await look(visitor, "light-6-keyboard-back");
  await press("Tab");
  await type(good.password);
  await press("Enter");
  await heading(visitor, "You are signed in");
  assert.equal(await page.evaluate("document.activeElement.textContent"), "You are signed in", "it is read aloud");
  await visitor.close();
  held("the keyboard alone is enough");
}

{
  const visitor = await visit("light");
  const { page, posted } = visitor;
  let fetched = 0;
  await page.route("**/v1/realms/*/keys", async (route) => {
    fetched += 1;
    if (fetched > 1) return route.continue();
    // Keys of servers that have gone: of the right form, and nobody's.
    const answer = await route.fetch();
    const set = await answer.json();
    for (const key of set.keys) key.kid = key.kid.split("").reverse().join("");
    return route.fulfill({ response: answer, json: set });
  });
  await firstStep(visitor, good.username);
  await secondStep(visitor, good.password);
  await heading(visitor, "You are signed in");
  assert.equal(fetched, 2);
  assert.equal(posted.length, 3);
  sealedInBrowser(posted);
  await visitor.close();
  held("keys that went stale are fetched anew, unnoticed");
}

{
  const visitor = await visit("light");
  const { page, posted } = visitor;
  await page.route("**/v1/realms/*/keys", (route) => route.abort());
  await firstStep(visitor, good.username);
  await secondStep(visitor, good.password);
  await page.getByRole("alert").filter({ hasText: "Nothing was sent. Try again in a moment" }).waitFor();
  await page.getByText("It is sealed in this browser").waitFor();
  await secondStep(visitor, good.password);
  await page.getByRole("alert").filter({ hasText: "Nothing was sent. If you sign in again" }).waitFor();
  assert.equal(posted.length, 1, "only the name was posted");
  await page.getByText("This site seals it").waitFor();
  await look(visitor, "light-7-no-keys");
  await page.getByRole("button", { name: "Sign in" }).click();
  await heading(visitor, "You are signed in");
  await page.getByText("This site sealed your password").waitFor();
  await visitor.close();
  held("without keys nothing is sent until the person has been told");
}

for (const [what, fulfil] of [
  ["missing", { status: 404, body: "" }],
  ["malformed", { status: 200, contentType: "application/json", body: '{"keys":{}}' }],
]) {
  const visitor = await visit("light");
  const { page, posted } = visitor;
  await page.route("**/v1/realms/*/keys", (route) => route.fulfill(fulfil));
  await firstStep(visitor, good.username);
  await secondStep(visitor, good.password);
  await page.getByRole("alert").filter({ hasText: "this site will seal it for you instead" }).waitFor();
  assert.equal(posted.length, 1, "only the name was posted");
  await visitor.close();
  held(`a key set that is ${what} is not asked for twice`);
}

{
  const visitor = await visit("light");
  const { page, posted } = visitor;
  let answer = { status: 503, body: "" };
  await page.route("**/v1/realms/*/keys", (route) => (answer ? route.fulfill(answer) : route.continue()));
  await firstStep(visitor, good.username);
  await secondStep(visitor, good.password);
  await page.getByRole("alert").filter({ hasText: "Nothing was sent. Try again in a moment" }).waitFor();
  answer = { status: 429, body: "" };
  for (let press = 0; press < 3; press += 1) {
    await secondStep(visitor, good.password);
    await page.getByRole("alert").filter({ hasText: "too many tries" }).waitFor();
  }
  answer = undefined;
  await secondStep(visitor, good.password);
  await heading(visitor, "You are signed in");
  sealedInBrowser(posted);
  await visitor.close();
  held("a failure that passes does not change who seals");
}

{
  const visitor = await visit("light");
  const { page } = visitor;
  await page.route("**/sign-in", (route) => {
    const form = new URLSearchParams(route.request().postData());
    return form.has("jwe") ? route.abort() : route.continue();
  });
  await firstStep(visitor, good.username);
  await secondStep(visitor, good.password);
  const problem = page.getByRole("alert").filter({ hasText: "No answer came" });
  await problem.waitFor();
  assert.ok(!(await problem.textContent()).includes("sent"), "nobody knows whether it was");
  await visitor.close();
  held("of what may have been sent nobody says that it was not");
}

{
  const visitor = await visit("light");
  const { page, posted } = visitor;
  // The page is loaded when its icon has come: here only in the middle of the sign-in, which is held back, too.
  const heldBack = [];
  let sealed = 0;
  await page.route("**/page/icon.svg*", (route) => heldBack.push(route));
  let arrived;
  const underWay = new Promise((resolve) => (arrived = resolve));
  let release;
  await page.route("**/sign-in", async (route) => {
    if (!new URLSearchParams(route.request().postData()).has("jwe")) return route.continue();
    sealed += 1;
    arrived();
    await new Promise((resolve) => (release = resolve));
    return route.continue();
  });
  await page.goto(`${api}/`, { waitUntil: "commit" });
  await page.getByLabel("User name").fill(good.username);
  await page.getByRole("button", { name: "Next" }).click({ noWaitAfter: true });
  await page.getByLabel("Password").waitFor();
  await page.getByText("It is sealed in this browser").waitFor();
  await secondStep(visitor, good.password);
  await underWay;
  assert.equal(await page.evaluate("document.readyState"), "interactive", "it is not loaded yet");
  // A promise, and no waitForFunction: that polls with eval, which the page's policy forbids from the second turn on.
  await page.evaluate("void (window.shown = new Promise((resolve) => addEventListener('pageshow', resolve)))");
  await Promise.all(heldBack.map((route) => route.continue().catch(() => {})));
  await page.evaluate("window.shown.then(() => true)");
  const button = page.getByRole("button", { name: "Signing in…" });
  await button.click();
  assert.equal(await page.locator("form").getAttribute("aria-busy"), "true", "and still under way");
  release();
  await heading(visitor, "You are signed in");
  assert.equal(sealed, 1, "one press, one try");
  sealedInBrowser(posted);
  await visitor.close();
  held("a page that is loaded only in the middle of a sign-in does not let it be sent again");
}

{
  const visitor = await visit("light");
  const { page } = visitor;
  let release;
  const asked = new Promise((resolve) => {
    page.route("**/sign-in", async (route) => {
      const form = new URLSearchParams(route.request().postData());
      if (!form.has("jwe")) return route.continue();
      await new Promise((answer) => {
        release = answer;
        resolve();
      });
      await route.continue();
    });
  });
  await firstStep(visitor, good.username);
  const box = await page.getByRole("button").boundingBox();
  await secondStep(visitor, good.password);
  await asked;
  const button = page.getByRole("button", { name: "Signing in…" });
  assert.deepEqual(await button.boundingBox(), box, "nothing moves while it is busy");
  assert.equal(await page.getByLabel("Password").inputValue(), "", "the password is gone once it is sealed");
  assert.equal(await button.evaluate(({ form }) => form.noValidate), true, "nobody is told to fill in the empty field");
  await button.click();
  await page.screenshot({ path: path.join(folder, "light-8-busy.png") });
  release();
  await heading(visitor, "You are signed in");
  assert.equal(visitor.posted.length, 2, "a second press is not a second try");
  await visitor.close();
  held("while it is busy nothing moves and nothing is sent twice");
}

await finish();
