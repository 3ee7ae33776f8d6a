// Drives the sign-in page of a relay that serves two organisations over TLS, and looks at the pages that say no. See
// browser.mjs for how it is started; `page.rs` configures the relay for it.

import assert from "node:assert/strict";

import { WRONG, api, finish, firstStep, good, heading, held, lastForm, look, sealedInBrowser, secondStep, users, visit } from "./browser.mjs";

const LOOKED_AT = ["light", "dark", "phone", "zoomed", "forced"];

// The other organisation. None of its servers is there.
const STRANGER = "anna.nowhere@globex.example";
const GLOBEX = "Globex Gesellschaft für weltweite Beteiligungen und Verwaltung, Köln";

// Whose page it looks like: the name beside the mark, and whether a logo was drawn.
function face({ page }) {
  return page.evaluate(`(() => {
    const logo = document.querySelector(".logo img");
    const name = document.querySelector(".organisation")?.textContent ?? null;
    return { name, logo: logo ? logo.complete && logo.naturalWidth > 0 && logo.clientWidth > 0 : null };
  })()`);
}

const NOBODYS = { name: null, logo: null };
const ACMES = { name: "Acme & Sons", logo: true };

for (const name of LOOKED_AT) {
  const visitor = await visit(name);
  const { page } = visitor;
  await page.goto(`${api}/`);
  assert.deepEqual(await face(visitor), NOBODYS, "nobody is told who signs in here");
  assert.equal(await page.title(), "Sign in");
  await look(visitor, `${name}-9-neutral`);
  await firstStep(visitor, good.username);
  assert.deepEqual(await face(visitor), ACMES);
  assert.equal(await page.title(), "Enter your password · Acme & Sons");
  await page.getByText("It is sealed in this browser for Acme & Sons").waitFor();
  await look(visitor, `${name}-9-acme`);
  await secondStep(visitor, good.password);
  await heading(visitor, "You are signed in");
  sealedInBrowser(visitor.posted);
  assert.deepEqual(await face(visitor), ACMES, "also where the script has exchanged the page");
  await look(visitor, `${name}-9-acme-success`);
  await page.getByRole("link", { name: "Switch user" }).click();
  await heading(visitor, "Sign in");
  assert.deepEqual(await face(visitor), NOBODYS);

  await firstStep(visitor, STRANGER);
  assert.deepEqual(await face(visitor), { name: GLOBEX, logo: null });
  await look(visitor, `${name}-9-globex`);
  await secondStep(visitor, WRONG);
  await page.getByRole("alert").filter({ hasText: "cannot be reached right now. Nothing was sent" }).waitFor();
  await look(visitor, `${name}-9-globex-nobody-there`);
  await firstStep(visitor, users.get("password_expired").username);
  assert.deepEqual(await face(visitor), ACMES, "and nothing is left of the other");
  await visitor.close();
  held(`each organisation has its own face: ${name}`);
}

for (const name of LOOKED_AT) {
  const visitor = await visit(name, { script: false });
  await firstStep(visitor, STRANGER);
  await secondStep(visitor, WRONG);
  await heading(visitor, "We cannot sign you in right now");
  await visitor.page.getByText("it was not counted as a wrong password").waitFor();
  assert.deepEqual(await face(visitor), { name: GLOBEX, logo: null });
  await look(visitor, `${name}-9-unavailable`);
  await visitor.page.getByRole("button", { name: "Try again" }).click();
  await visitor.page.getByLabel("Password").waitFor();
  await visitor.close();
  held(`what is not there is told as ours: ${name}`);
}

for (const name of LOOKED_AT) {
  const elsewhere = "https://elsewhere.example";
  const visitor = await visit(name, { elsewhere });
  const { page } = visitor;
  await page.route(`${elsewhere}/`, (route) =>
    route.fulfill({
      contentType: "text/html",
      body: `<!doctype html><title>Prizes</title><form method="post" action="${api}/sign-in">
        <input name="username" value="${good.username}"><input name="password" value="${WRONG}"><button>Win</button></form>`,
    }),
  );
  await page.goto(`${elsewhere}/`);
  const answered = page.waitForResponse(`${api}/sign-in`);
  await page.getByRole("button", { name: "Win" }).click();
  assert.equal((await answered).status(), 403);
  await heading(visitor, "That did not come from this page");
  assert.equal(lastForm(visitor.posted).get("password"), WRONG, "it was really posted");
  assert.deepEqual(await face(visitor), NOBODYS);
  await look(visitor, `${name}-9-foreign`);
  await page.getByRole("link", { name: "Back to sign in" }).click();
  await firstStep(visitor, good.username);
  await visitor.close();
  held(`another site's form is refused, and says how to go on: ${name}`);
}

for (const name of LOOKED_AT) {
  const visitor = await visit(name, { headers: { "x-forwarded-for": "192.0.2.7" } });
  await visitor.page.goto(`${api}/`);
  await heading(visitor, "This page is not open yet");
  assert.equal(await visitor.page.getByRole("link").count(), 0, "nothing leads in circles");
  await look(visitor, `${name}-9-not-open`);
  await visitor.close();
  held(`without callers it is for this machine: ${name}`);
}

{
  // As often as the name may be tried, and once more.
  const visitor = await visit("light");
  const tooMany = visitor.page.getByRole("heading", { name: "Too many tries" });
  const signedIn = visitor.page.getByRole("heading", { name: "You are signed in" });
  for (let tries = 0; tries < 20 && !(await tooMany.isVisible()); tries += 1) {
    await firstStep(visitor, good.username);
    await secondStep(visitor, good.password);
    await tooMany.or(signedIn).waitFor();
  }
  await tooMany.waitFor();
  await visitor.close();
}
for (const [name, script] of [...LOOKED_AT.map((name) => [name, true]), ["light", false]]) {
  const visitor = await visit(name, { script });
  const { page } = visitor;
  await firstStep(visitor, good.username);
  const answered = page.waitForResponse((response) => response.request().method() === "POST" && response.url() === `${api}/sign-in`);
  await secondStep(visitor, good.password);
  const answer = await answered;
  assert.equal(answer.status(), 429);
  const wait = Number(answer.headers()["retry-after"]);
  // So long that it is told in minutes, however slow everything before was.
  assert.ok(wait > 90, `${wait}`);
  await heading(visitor, "Too many tries");
  await page.getByText(`Wait ${Math.ceil(wait / 60)} minutes, then try again`).waitFor();
  assert.deepEqual(await face(visitor), ACMES);
  await look(visitor, `${name}-9-too-many${script ? "" : "-no-script"}`);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByLabel("Password").waitFor();
  await visitor.close();
  held(`too many tries are told with how long to wait: ${name}, script ${script}`);
}

await finish();
