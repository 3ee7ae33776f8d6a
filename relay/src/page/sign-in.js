// Seals the password in the browser, so that the site never sees it: a JWE (RFC 7516) to the public keys of the servers
// that may check it. The page works without this script; the site then seals the password itself, and says so.
//
// Whatever cannot be sealed is not sent silently in another way: the page says so, and the next press decides.

"use strict";

// The protected header, in the one form that is accepted.
const PROTECTED = base64url(utf8('{"alg":"RSA-OAEP-256","enc":"A256GCM","typ":"postern+jwe"}'));

// How long a sealed password may be used, by the clock of the site. It should outlive the site's own deadline, which may
// be a minute; but a minute is also the most that is taken, and the clocks of the site's machines may differ.
const LIFETIME_MS = 55_000;

// An envelope has at most as many recipients.
const MOST_RECIPIENTS = 100;

// Longer than the site's own longest deadline: whatever comes after this does not come at all.
const PATIENCE_MS = 70_000;

// The page can be served where a browser has no cryptography: in the clear, beyond this machine.
let sealing = Boolean(window.isSecureContext && window.crypto?.subtle);

// How often in a row there were no keys to seal to.
let failures = 0;

// What a person is told: what happened, and what to do about it.
class Trouble extends Error {
  constructor(what, next) {
    super(what);
    this.next = next;
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  // A second press while the first is under way would be a second try at the password.
  if (form.getAttribute("aria-busy") === "true") {
    event.preventDefault();
    return;
  }
  busy(form, true);
  if (sealing && form.dataset.realm) {
    event.preventDefault();
    const attempt = { sent: false };
    signIn(form, attempt).catch((error) => stay(form, error, attempt));
  }
});

// Back from the browser's history the form is as it was left: busy. (A page that is merely loaded shows only after
// everything on it has come, which can be in the middle of a sign-in.)
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.forms) busy(form, false);
});

show();

// Says truthfully who will seal.
function show() {
  const note = document.getElementById("sealing");
  if (!note) return;
  note.dataset.plain ??= note.textContent;
  note.textContent = sealing ? note.dataset.sealed : note.dataset.plain;
  note.classList.toggle("sealed", sealing);
}

async function signIn(form, attempt) {
  const field = form.elements.password;
  const password = field.value;
  let keys = await fetchKeys(form.dataset.realm);
  let jwe = await seal(password, form, keys);
  // From here on the page holds the password no longer, whatever becomes of the answer.
  field.value = "";
  attempt.sent = true;
  let answer = await post(form, jwe);
  if (answer.outcome === "stale_key") {
    // A server was exchanged in just this moment. Nothing was tried; there are new keys.
    keys = await fetchKeys(form.dataset.realm);
    jwe = await seal(password, form, keys);
    answer = await post(form, jwe);
  }
  turnTo(answer.html);
}

async function fetchKeys(realm) {
  const set = await keySet(realm);
  failures = 0;
  if (set.keys.length === 0) {
    throw new Trouble("Your organisation cannot be reached right now.", "Try again in a minute.");
  }
  return set;
}

// What cannot be had now may be there in a moment. Only when it is not, or is plainly not served, is the other way
// offered, and openly: perhaps something in between lets the page through and the keys not.
async function keySet(realm) {
  let status, text;
  try {
    const answer = await fetch(`/v1/realms/${encodeURIComponent(realm)}/keys`, {
      cache: "no-store",
      signal: AbortSignal.timeout(10_000),
    });
    status = answer.status;
    text = await answer.text();
  } catch {
    status = undefined;
  }
  if (status === 200) {
    const set = parse(text);
    if (Array.isArray(set?.keys) && Number.isSafeInteger(set.now)) return set;
  }
  // The site would refuse the other way too.
  if (status === 429) throw new Trouble("There were too many tries from where you are.", "Try again in a minute.");
  failures += 1;
  if (status !== 200 && status !== 404 && failures < 2) {
    throw new Trouble("Your password could not be sealed just now.", "Try again in a moment.");
  }
  sealing = false;
  show();
  throw new Trouble(
    "Your password could not be sealed in this browser.",
    "If you sign in again, this site will seal it for you instead.",
  );
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// The envelope: the password under a key of its own, that key under each server's.
async function seal(password, form, { keys, now }) {
  const authenticated = {
    exp: now + LIFETIME_MS,
    realm: form.dataset.realm,
    rid: requestId(),
    tenant: form.dataset.tenant,
    user: form.elements.username.value,
  };
  const aad = base64url(utf8(JSON.stringify(authenticated)));
  const contentKey = random(32);
  const iv = random(12);
  const aes = await crypto.subtle.importKey("raw", contentKey, "AES-GCM", false, ["encrypt"]);
  const parameters = { name: "AES-GCM", iv, additionalData: utf8(`${PROTECTED}.${aad}`), tagLength: 128 };
  const sealed = new Uint8Array(await crypto.subtle.encrypt(parameters, aes, utf8(password)));
  const recipients = await Promise.all(some(keys).map((key) => wrap(contentKey, key)));
  contentKey.fill(0);
  return JSON.stringify({
    protected: PROTECTED,
    recipients,
    aad,
    iv: base64url(iv),
    ciphertext: base64url(sealed.subarray(0, -16)),
    tag: base64url(sealed.subarray(-16)),
  });
}

async function wrap(contentKey, { kty, n, e, kid }) {
  const algorithm = { name: "RSA-OAEP", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("jwk", { kty, n, e }, algorithm, false, ["encrypt"]);
  const wrapped = await crypto.subtle.encrypt({ name: "RSA-OAEP" }, key, contentKey);
  return { header: { kid }, encrypted_key: base64url(new Uint8Array(wrapped)) };
}

// As many as an envelope may have, from anywhere in the list: else the last servers would never be asked.
function some(keys) {
  const from = crypto.getRandomValues(new Uint32Array(1))[0] % keys.length;
  return [...keys.slice(from), ...keys.slice(0, from)].slice(0, MOST_RECIPIENTS);
}

async function post(form, jwe) {
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams({ username: form.elements.username.value, jwe }),
      cache: "no-store",
      redirect: "error",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    return { outcome: answer.headers.get("postern-outcome"), html: await answer.text() };
  } catch {
    throw new Trouble("No answer came.", "Check your connection, then type your password again.");
  }
}

// Shows the page that was answered, as if it had been loaded.
function turnTo(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const main = page.querySelector("main");
  if (!main) throw new Trouble("An answer came that this page does not understand.", "Try again in a minute.");
  document.title = page.title;
  document.querySelector("main").replaceWith(document.adoptNode(main));
  show();
  // Where a loaded page would be read from: the field that is asked for, or the heading.
  (main.querySelector("[autofocus]") ?? main.querySelector("h1"))?.focus();
}

// Stays where it is and says why, and that nothing was sent only where nothing was.
function stay(form, error, attempt) {
  busy(form, false);
  const trouble = error instanceof Trouble ? error : new Trouble("Something went wrong on this page.", "Load it again.");
  const problem = document.getElementById("problem");
  const sentences = [trouble.message, attempt.sent ? "" : "Nothing was sent.", trouble.next];
  problem.textContent = sentences.filter(Boolean).join(" ");
  problem.hidden = false;
  form.elements.password.focus();
}

function busy(form, yes) {
  form.setAttribute("aria-busy", String(yes));
  // The field is empty once its content is sealed, and a second press must not be told to fill it in.
  form.noValidate = yes;
  const button = form.querySelector("button");
  if (!button?.dataset.busy) return;
  button.dataset.idle ??= button.textContent;
  button.textContent = yes ? button.dataset.busy : button.dataset.idle;
}

// 128 random bits, written as ids are written here.
function requestId() {
  const hex = Array.from(random(16), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function random(length) {
  return crypto.getRandomValues(new Uint8Array(length));
}

function utf8(text) {
  return new TextEncoder().encode(text);
}

function base64url(bytes) {
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
