"""What the ldap3 library shows of a directory, as JSON.

Run with a Python that has the packages of requirements.txt and one argument, a JSON object: "ldap" and "ldaps" (URLs),
"ca" (a file), "base" (the domain's DN), "binds" (what to sign in with: {label: [name, password]}), "transports" (which
of "ldap", "starttls", "ldaps"), "changes" ({transport: [name, DN, password, new password]}). The bind "right" has to
succeed.
"""

import json
import ssl
import sys

from ldap3 import ALL, SCHEMA, SIMPLE, SUBTREE, SYNC, Connection, ObjectDef, Server, Tls

asked = json.loads(sys.argv[1])
name, password = asked["binds"]["right"]
# The certificate has to be one of this CA and for the host of the URL.
tls = Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=asked["ca"])
NUMBERED = "(&(objectCategory=person)(sAMAccountName=user00000*))"
TRANSPORTS = {"ldap": (asked["ldap"], False), "starttls": (asked["ldap"], True), "ldaps": (asked["ldaps"], False)}


def connect(transport, user, secret, info=None):
    """A connection on which nothing was said yet but StartTLS."""
    url, starttls = TRANSPORTS[transport]
    server = Server(url, tls=tls, get_info=info, connect_timeout=30)
    connection = Connection(
        server, user, secret, authentication=SIMPLE, client_strategy=SYNC, receive_timeout=30
    )
    connection.open()
    if starttls and not connection.start_tls():
        raise SystemExit(f"StartTLS: {connection.result}")
    return connection


def binds(transport):
    """Result and text of each bind, as the library shows them."""
    told = {}
    for label, (user, secret) in asked["binds"].items():
        connection = connect(transport, user, secret)
        succeeded = connection.bind()
        result = connection.result
        told[label] = [succeeded, result["result"], result["description"], result["message"]]
        connection.unbind()
    return told


def look(transport):
    """What somebody who is signed in finds."""
    connection = connect(transport, name, password, info=ALL)
    connection.bind()
    info = connection.server.info
    schema = connection.server.schema
    found = {
        "who": connection.extend.standard.who_am_i(),
        "naming_contexts": info.naming_contexts,
        "default_naming_context": info.other["defaultNamingContext"],
        "supported_ldap_versions": sorted(info.supported_ldap_versions),
        "schema_knows": sorted(
            attribute for attribute in ("sAMAccountName", "objectSid", "lockoutTime")
            if schema and attribute in schema.attribute_types
        ),
    }
    connection.search(
        asked["base"],
        "(&(objectClass=user)(sAMAccountName=good))",
        SUBTREE,
        attributes=["userPrincipalName", "objectGUID", "pwdLastSet", "memberOf"],
    )
    (person,) = connection.entries
    found["person"] = {
        "dn": person.entry_dn,
        "userPrincipalName": person.userPrincipalName.value,
        "objectGUID": person.objectGUID.value,
        "pwdLastSet": type(person.pwdLastSet.value).__name__,
    }
    pages = connection.extend.standard.paged_search(
        asked["base"], NUMBERED, SUBTREE, attributes=["sAMAccountName"], paged_size=4, generator=True
    )
    found["paged"] = [
        entry["attributes"]["sAMAccountName"] for entry in pages if entry["type"] == "searchResEntry"
    ]
    connection.compare(person.entry_dn, "sAMAccountName", "GOOD")
    found["compare"] = connection.result["description"]
    form = ObjectDef(["user"], connection)
    found["form"] = [name for name in ("givenName", "homePhone", "sAMAccountName", "groupType") if name in form]
    connection.search("OU=nowhere," + asked["base"], "(cn=*)", SUBTREE)
    found["missing_base"] = [connection.result["description"], connection.result["message"]]
    connection.unbind()
    return found


def changes(transport):
    """What comes of changing one's own password: the old one wrong, the new one too short, and as it should be."""
    user, dn, old, new = asked["changes"][transport]
    # With the schema, as the library has it by default: it sends no attribute that is not in there.
    connection = connect(transport, user, old, info=SCHEMA)
    connection.bind()
    told = []
    for present, wanted in (("Wrong-1", new), (old, "short"), (old, new)):
        connection.extend.microsoft.modify_password(dn, wanted, present)
        told.append([connection.result["result"], connection.result["message"]])
    connection.unbind()
    connection = connect(transport, user, new)
    told.append(connection.bind())
    connection.unbind()
    return told


answer = {transport: {"binds": binds(transport), "look": look(transport), "changes": changes(transport)}
          for transport in asked["transports"]}
print(json.dumps(answer, default=str))
