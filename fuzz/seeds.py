"""Writes the corpus's first inputs: a request of every kind, some of them several at once. Standard library only."""

import pathlib


def tlv(tag, *parts):
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    return bytes([tag, 0x84]) + len(body).to_bytes(4, "big") + body


def number(value, tag=2):
    return tlv(tag, value.to_bytes(max(1, (value.bit_length() + 8) // 8), "big", signed=True))


def text(value, tag=4):
    return tlv(tag, value if isinstance(value, bytes) else value.encode())


def message(ident, operation, *controls):
    return tlv(0x30, number(ident), operation, *([tlv(0xA0, *controls)] if controls else []))


def control(oid, critical=False, value=None):
    parts = [text(oid), tlv(1, b"\xff" if critical else b"\0")]
    return tlv(0x30, *parts, *([text(value)] if value is not None else []))


def bind(name, password, version=3):
    return tlv(0x60, number(version), text(name), text(password, 0x80))


def search(base, scope, what, attributes=(), size=0, types=False):
    return tlv(0x63, text(base), number(scope, 10), number(0, 10), number(size), number(0),
               tlv(1, b"\xff" if types else b"\0"), what, tlv(0x30, *map(text, attributes)))


def equal(name, value, tag=0xA3):
    return tlv(tag, text(name), text(value))


def present(name):
    return text(name, 0x87)


def extended(oid, value=None):
    return tlv(0x77, text(oid, 0x80), *([text(value, 0x81)] if value is not None else []))


def change(kind, name, *values):
    return tlv(0x30, number(kind, 10), tlv(0x30, text(name), tlv(0x31, *map(text, values))))


def modify(ident, name, *changes):
    return message(ident, tlv(0x66, text(name), tlv(0x30, *changes)))


def quoted(password):
    return f'"{password}"'.encode("utf-16-le")


def compare(ident, name, attribute, value):
    return message(ident, tlv(0x6E, text(name), tlv(0x30, text(attribute), text(value))))


def extensible(rule, attribute, value):
    return tlv(0xA9, text(rule, 0x81), text(attribute, 0x82), text(value, 0x83))


def paged(size, cookie=b""):
    return control("1.2.840.113556.1.4.319", True, tlv(0x30, number(size), text(cookie)))


def sort(critical, *keys):
    return control("1.2.840.113556.1.4.473", critical, tlv(0x30, *(tlv(0x30, text(k), *rest) for k, *rest in keys)))


def flags(oid, value):
    return control(oid, True, tlv(0x30, number(value)))


BASE = "DC=corp,DC=example,DC=com"
GOOD = "CN=good,CN=Users," + BASE
IN = message(1, bind("good@corp.example.com", "p"))
PARTS = tlv(0xA4, text("cn"), tlv(0x30, text("g", 0x80), text("o", 0x81), text("d", 0x82)))
RULE = tlv(0xA9, text("1.2.840.113556.1.4.803", 0x81), text("userAccountControl", 0x82), text("2", 0x83))
CHAIN = tlv(0xA9, text("1.2.840.113556.1.4.1941", 0x81), text("memberOf", 0x82), text(BASE, 0x83), tlv(0x84, b"\xff"))
TLS = message(9, extended("1.3.6.1.4.1.1466.20037"))
ADMIN = message(1, bind("CORP\\Administrator", "a"))
CHANGE = modify(2, GOOD, change(1, "unicodePwd", quoted("p")), change(0, "unicodePwd", quoted("Other-Passw0rd")))
AGAIN = message(3, bind(GOOD, "Other-Passw0rd"))
ALL = present("objectClass")
CHAINED = "1.2.840.113556.1.4.1941"

SEEDS = {
    "bind": IN,
    "bind-wrong": message(1, bind("CORP\\good", "wrong")) * 4,
    "bind-anonymous": message(0, bind("", "")),
    "bind-bytes": message(-1, bind(b"\xff\xfe", b"p\0\xff")),
    "bind-dn": message(2, bind(GOOD, "p", 2)) + message(3, bind("", "", 9)),
    "bind-names": b"".join(message(n, bind(name, "p")) for n, name in enumerate(
        ["corp.example.com/Users/good", "{00000000-0000-0000-0000-000000000000}", "S-1-5-21-1-2-3-500", "HTTP/host", "<SID=00>"])),
    "bind-sasl": message(1, tlv(0x60, number(3), text(""), tlv(0xA3, text("GSS-SPNEGO"), text("x")))),
    "bind-control": message(1, bind("", ""), control("1.3.6.1.4.1.42.2.27.8.5.1", True)),
    "unbind": IN + message(2, tlv(0x42)),
    "abandon": IN + message(2, search(BASE, 2, present("objectClass"))) + message(3, text(b"\2", 0x50)),
    "root-dse": message(1, search("", 0, present("objectClass"), ["*", "+"])),
    "search-anonymous": message(1, search(BASE, 2, present("cn"))),
    "search-all": IN + message(2, search(BASE, 2, present("objectClass"), ["cn"])),
    "search-one": IN + message(2, search("CN=Users," + BASE, 1, equal("cn", "good"), types=True)),
    "search-and": IN + message(2, search(BASE, 2, tlv(0xA0, equal("sAMAccountName", "GOOD"), tlv(0xA2, present("mail"))))),
    "search-or": IN + message(2, search(BASE, 2, tlv(0xA1, PARTS, RULE, CHAIN, equal("pwdLastSet", "1", 0xA5), equal("whenCreated", "2", 0xA6)))),
    "search-approx": IN + message(2, search(BASE, 2, equal("displayName", b"\xff", 0xA8), ["1.1"], size=1)),
    "search-guid": IN + message(2, search("<GUID=00000000-0000-0000-0000-000000000000>", 0, equal("objectGUID", bytes(16)))),
    "search-paged": IN + message(2, search(BASE, 2, ALL), paged(2)),
    "paged-cookie": IN + message(2, search(BASE, 2, ALL), paged(3, bytes(16))) + message(3, search(BASE, 2, ALL), paged(0)),
    "paged-odd": IN + message(2, search(BASE, 2, ALL), paged(-1, b"1")) + message(3, search(BASE, 1, ALL, ["cn"], 2), paged(2)),
    "sort": IN + message(2, search(BASE, 2, ALL, ["cn"]), sort(True, ("cn", tlv(0x81, b"\xff")))),
    "sort-paged": IN + message(2, search(BASE, 2, ALL, ["cn"]), sort(False, ("whenCreated",)), paged(3)),
    "sort-odd": IN + message(2, search(BASE, 2, ALL, ["cn"]), sort(True, ("cn",), ("sn", text("2.5.13.3", 0x80))))
        + message(3, search(BASE, 2, ALL, ["cn"]), sort(True, ("noSuch",))) + message(4, search(BASE, 2, ALL), sort(True)),
    "chain": IN + message(2, search(BASE, 2, extensible(CHAINED, "memberOf", "CN=Outer,CN=Users," + BASE), ["cn"]))
        + message(3, search(BASE, 2, extensible(CHAINED, "member", GOOD), ["cn"])),
    "rules": IN + b"".join(message(n, search(BASE, 2, extensible(f"1.2.840.113556.1.4.{rule}", name, value)))
        for n, (rule, name, value) in enumerate([("803", "userAccountControl", "512"), ("804", "groupType", "-1"),
            ("803", "cn", "x"), ("1941", "cn", "x"), ("2253", "cn", "x"), ("804", "userAccountControl", b"\xff")], 2)),
    "anr": IN + b"".join(message(n, search(BASE, 2, equal("anr", value))) for n, value in enumerate(
        ["good", "Good User", "=good", "User Good", "", " "], 2)),
    "ranges": IN + message(2, search(GOOD, 0, ALL, ["servicePrincipalName;range=1-1", "servicePrincipalName;range=0-*"]))
        + message(3, search("CN=Inner,OU=Offices," + BASE, 0, ALL, ["member;range=5-2", "member;range=9-*", "member;binary"])),
    "ranges-greatest": IN + message(2, search("CN=Outer,CN=Users," + BASE, 0, ALL, ["member;range=0-18446744073709551615",
        "memberOf;Range=0-*"])) + message(3, search(BASE, 2, ALL, ["member;range=18446744073709551615-18446744073709551615"])),
    "base-guid": IN + message(2, search("<GUID=11223344-5566-7788-99aa-bbccddeeff00>", 0, ALL))
        + message(3, search("<GUID=443322116655887799aabbccddeeff00>", 0, ALL, ["cn"])),
    "base-sid": IN + message(2, search("<SID=S-1-5-21-1-2-3-1200>", 0, ALL, ["*", "tokenGroups", "msDS-ResultantPSO"])),
    "base-wkguid": IN + message(2, search("<WKGUID=a9d1ca15768811d1aded00c04fd8d5cd," + BASE + ">", 1, ALL, ["cn"])),
    "base-odd": IN + b"".join(message(n, search(base, 0, ALL)) for n, base in enumerate(
        ["<GUID=x>", "<SID=S-1->", "<SID=0105>", "<WKGUID=,>", "<X=1>", "CN=Aggregate,CN=Schema,CN=Configuration," + BASE,
         "CN=Configuration," + BASE, "DC=other", "CN=\\2c\\ff," + BASE, "CN=a+CN=b," + BASE, "#", b"\xff"], 2)),
    "filter-values": IN + b"".join(message(n, search(BASE, 2, what)) for n, what in enumerate([
        equal("objectGUID", bytes(range(16))), equal("objectGUID", "11223344-5566-7788-99aa-bbccddeeff00"),
        equal("objectSid", "S-1-5-21-1-2-3-1200"), equal("objectCategory", "person"), equal("objectClass", "user"),
        equal("distinguishedName", "<SID=S-1-5-21-1-2-3-1200>"), equal("accountExpires", "9223372036854775808", 0xA5),
        equal("whenCreated", "20300101000000.0Z", 0xA6), equal("logonHours", bytes(21)), equal("memberOf", "CN=x"),
        equal("msDS-User-Account-Control-Computed", "16"), equal("tokenGroups", "x"), equal("canonicalName", "x"),
        tlv(0xA0), tlv(0xA1), tlv(0xA4, text("cn"), tlv(0x30)), tlv(0xA9, text("x", 0x83)), present("")], 2)),
    "shown": IN + message(2, search(GOOD, 0, ALL, ["canonicalName", "msDS-UserPasswordExpiryTimeComputed", "1.1", "*", "+",
        "msDS-User-Account-Control-Computed", "tokenGroups", "allowedAttributesEffective", "memberOf", "ntSecurityDescriptor"])),
    "extended-names": IN + message(2, search(GOOD, 0, ALL), flags("1.2.840.113556.1.4.529", 1))
        + message(3, search(BASE, 2, ALL, ["member"]), control("1.2.840.113556.1.4.529", False, b"x")),
    "everywhere": IN + message(2, search("", 2, ALL, ["cn"]), flags("1.2.840.113556.1.4.1340", 2))
        + message(3, search(BASE, 1, ALL, ["cn"]), control("1.2.840.113556.1.4.1339", True)),
    "password-tls": TLS + IN + CHANGE + AGAIN,
    "password-clear": IN + CHANGE + AGAIN,
    "password-reset": TLS + ADMIN + modify(2, GOOD, change(2, "unicodePwd", quoted("Other-Passw0rd"))) + AGAIN,
    "password-wrong": TLS + IN + b"".join(modify(n, GOOD, change(1, "unicodePwd", old), change(0, "unicodePwd", new)) for n, (old, new)
        in enumerate([(quoted("x"), quoted("Other-1")), (b"p", b"q"), (quoted("p"), b'"\0'), (quoted("p"), quoted("")),
            (quoted("p"), quoted("p")), (quoted("x"), quoted("y"))], 2)),
    "password-odd": TLS + IN + modify(2, GOOD, change(0, "unicodePwd", quoted("x"))) + modify(3, GOOD, change(1, "unicodePwd"))
        + modify(4, GOOD, change(1, "unicodePwd", quoted("p"), quoted("p")), change(0, "unicodePwd", quoted("y")))
        + modify(5, "CN=locked,CN=Users," + BASE, change(1, "unicodePwd", quoted("p")), change(0, "unicodePwd", quoted("zz"))),
    "modify-admin": ADMIN + b"".join(modify(n, GOOD, *changes) for n, changes in enumerate([
        [change(2, "lockoutTime", "0")], [change(2, "pwdLastSet", "-1")], [change(2, "pwdLastSet", "7")],
        [change(2, "userAccountControl", "514")], [change(2, "userAccountControl", "x")], [change(2, "accountExpires", "0")],
        [change(0, "servicePrincipalName", "HTTP/d", "HTTP/A")], [change(1, "servicePrincipalName", "HTTP/b")],
        [change(2, "userPrincipalName", "other@corp.example.com")], [change(2, "sAMAccountName", "locked")],
        [change(2, "logonHours", bytes(21))], [change(2, "mail")], [change(1, "mail")], [change(9, "mail", "x")],
        [change(2, "objectSid", "x")], [change(2, "noSuch", "x")], [change(2, b"\xff", b"\xff")], []], 2)),
    "modify-group": ADMIN + modify(2, "CN=Outer,CN=Users," + BASE, change(0, "member", GOOD), change(2, "description", "x"))
        + modify(3, "<SID=S-1-5-21-1-2-3-1200>", change(2, "telephoneNumber", "1")) + modify(4, "", change(2, "x", "y")),
    "modify-many": ADMIN + modify(2, GOOD, *(change(0, "otherTelephone", str(n)) for n in range(40))),
    "states": b"".join(message(n, bind(name, "p")) for n, name in enumerate(
        ["CORP\\locked", "CORP\\disabled", "mustchange@corp.example.com", "good@mail.example.org", "user000003@corp.example.com"])),
    "search-bad-base": IN + message(2, search("no name", 2, present("cn"))) + message(3, search("CN=x," + BASE, 9, present("cn"))),
    "search-nots": message(1, search("", 0, __import__("functools").reduce(lambda inner, _: tlv(0xA2, inner), range(200), present("cn")))),
    "searches": IN + b"".join(message(n, search(BASE, 2, present("cn"), ["cn"])) for n in range(2, 6)),
    "compare": IN + compare(2, GOOD, "cn", "GOOD") + compare(3, GOOD, "cn", "x"),
    "compare-odd": IN + compare(2, "", "currentTime", "x") + compare(3, "CN=x," + BASE, "cn", "x")
        + compare(4, GOOD, b"\xff", b"\xff") + compare(5, b"\xff", "cn", "x") + compare(6, GOOD, "unicodePwd", "p"),
    "modify": IN + message(2, tlv(0x66, text(GOOD), tlv(0x30, change(1, "unicodePwd", '"p"'.encode("utf-16-le")), change(0, "unicodePwd", '"q"'.encode("utf-16-le"))))),
    "modify-replace": IN + message(2, tlv(0x66, text(GOOD), tlv(0x30, change(2, "mail", "a@b"), change(3, "logonCount", "1")))),
    "add": IN + message(2, tlv(0x68, text("CN=n," + BASE), tlv(0x30, tlv(0x30, text("cn"), tlv(0x31, text("n")))))),
    "delete": IN + message(2, text(GOOD, 0x4A)),
    "rename": IN + message(2, tlv(0x6C, text(GOOD), text("CN=x"), tlv(1, b"\xff"), text(BASE, 0x80))),
    "starttls": message(1, extended("1.3.6.1.4.1.1466.20037")) + message(2, bind("good@corp.example.com", "p")),
    "starttls-amid": IN + message(2, search(BASE, 2, present("cn"))) + message(3, extended("1.3.6.1.4.1.1466.20037")),
    "who-am-i": IN + message(2, extended("1.3.6.1.4.1.4203.1.11.3")),
    "fast-bind": message(1, extended("1.2.840.113556.1.4.1781")) + IN * 3 + message(2, search(BASE, 2, present("cn"))),
    "extended": message(1, extended("1.2.3.4", "value"), control("1.2", True, "v")),
    "response": message(1, tlv(0x61, number(0, 10), text(""), text(""))),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": bytes.fromhex("1603010005010000010303"),
    "long": bytes.fromhex("3084064000000201"),
    "absurd": bytes.fromhex("3084ffffffff0201"),
    "indefinite": bytes.fromhex("30800201010000"),
    "cut": IN[:-3],
    "behind": IN + b"\xff\xff\xff\xff",
}

folder = pathlib.Path(__file__).parent / "corpus" / "requests"
folder.mkdir(parents=True, exist_ok=True)
for name, content in SEEDS.items():
    (folder / name).write_bytes(content)
