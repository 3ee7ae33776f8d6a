// What the ldapts library shows of a directory, as JSON.
//
// Run with one argument, a JSON object: "ldap" and "ldaps" (URLs), "ca" (a file), "base" (the domain's DN), "binds" (what
// to sign in with: {label: [name, password]}), "transports" (which of "ldap", "starttls", "ldaps"), "changes"
// ({transport: [name, DN, password, new password]}). The bind "right" has to succeed. POSTERN_TEST_CLIENTS names a folder in which `npm ci` was run with the package.json beside this file.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { Attribute, Change, Client } = createRequire(join(process.env.POSTERN_TEST_CLIENTS, "package.json"))("ldapts");

const asked = JSON.parse(process.argv[2]);
// The certificate has to be one of this CA and for the host of the URL.
const tlsOptions = { ca: readFileSync(asked.ca) };
const transports = { ldap: [asked.ldap, false], starttls: [asked.ldap, true], ldaps: [asked.ldaps, false] };

async function connect([url, startTls]) {
  const client = new Client({ url, timeout: 30_000, connectTimeout: 30_000, ...(url.startsWith("ldaps:") && { tlsOptions }) });
  if (startTls) await client.startTLS({ ...tlsOptions, host: new URL(url).hostname });
  return client;
}

// Error class, code and text of each bind, as the library shows them; all on one connection, one after the other.
async function binds(transport) {
  const client = await connect(transport);
  const told = {};
  for (const [label, [name, password]] of Object.entries(asked.binds)) {
    told[label] = await client.bind(name, password).then(
      () => ["", 0, ""],
      (error) => [error.name, error.code, error.message],
    );
  }
  await client.unbind();
  return told;
}

// What somebody who is signed in finds.
async function look(transport) {
  const client = await connect(transport);
  await client.bind(...asked.binds.right);
  const person = await client.search(asked.base, {
    filter: "(&(objectClass=user)(sAMAccountName=good))",
    attributes: ["userPrincipalName", "objectGUID"],
    explicitBufferAttributes: ["objectGUID"],
  });
  const found = {
    who: (await client.exop("1.3.6.1.4.1.4203.1.11.3")).value,
    root: (await client.search("", { scope: "base", attributes: ["defaultNamingContext"] })).searchEntries[0].defaultNamingContext,
    person: person.searchEntries.map(({ dn, userPrincipalName, objectGUID }) => [dn, userPrincipalName, objectGUID.length]),
    references: person.searchReferences.length,
    pages: [],
  };
  const numbered = { filter: "(&(objectCategory=person)(sAMAccountName=user00000*))", attributes: ["sAMAccountName"], paged: { pageSize: 4 } };
  for await (const page of client.searchPaginated(asked.base, numbered)) {
    found.pages.push(page.searchEntries.map((entry) => entry.sAMAccountName));
  }
  // Twenty requests on their way at once on this connection: each gets its own answer.
  const names = Array.from({ length: 20 }, (_, index) => `user${String(index + 1).padStart(6, "0")}`);
  const answers = await Promise.all(
    names.map((name) => client.search(asked.base, { filter: `(sAMAccountName=${name})`, attributes: ["sAMAccountName"] })),
  );
  found.atOnce = answers.map((answer) => answer.searchEntries.map((entry) => entry.sAMAccountName).join());
  found.compare = await client.compare(person.searchEntries[0].dn, "sAMAccountName", "GOOD");
  found.missingBase = await client.search(`OU=nowhere,${asked.base}`).catch((error) => [error.name, error.code, error.message]);
  await client.unbind();
  return found;
}

const quoted = (password) => Buffer.from(`"${password}"`, "utf16le");

// What comes of changing one's own password: the old one wrong, the new one too short, and as it should be.
async function changes(transport, [name, dn, old, wanted]) {
  const client = await connect(transport);
  await client.bind(name, old);
  const change = (operation, password) =>
    new Change({ operation, modification: new Attribute({ type: "unicodePwd", values: [quoted(password)] }) });
  const told = [];
  for (const [present, next] of [["Wrong-1", wanted], [old, "short"], [old, wanted]]) {
    told.push(await client.modify(dn, [change("delete", present), change("add", next)]).then(
      () => [0, ""],
      (error) => [error.code, error.message],
    ));
  }
  told.push(await client.bind(name, wanted).then(() => true, () => false));
  await client.unbind();
  return told;
}

const answer = {};
for (const name of asked.transports) {
  answer[name] = { binds: await binds(transports[name]), look: await look(transports[name]), changes: await changes(transports[name], asked.changes[name]) };
}
console.log(JSON.stringify(answer));
