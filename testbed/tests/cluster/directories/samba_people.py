"""Gives a Samba domain its password policy and its people.

Reads JSON from standard input: {"config": path of smb.conf, "threshold": N, "people": [{"sam", "cn", "upn", "password",
"mail" | null, "states": [...]}]}. Works on the database itself, before the server is started: a password that was set
long ago cannot be written over LDAP.
"""

import json
import sys
import time

import ldb
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB

DAY = 24 * 60 * 60
TICKS = 10**7  # of 100 ns in a second
EPOCH = 11644473600  # seconds from 1601, where directory times begin, to 1970
WRITE_ANY_PASSWORD_TIME = "local_oid:1.3.6.1.4.1.7165.4.3.20:0"

DISABLED, NORMAL, NEVER_EXPIRES = 0x2, 0x200, 0x10000


def days_ago(days):
    return str(int((EPOCH + time.time() - days * DAY) * TICKS))


def replace(database, dn, controls=None, **values):
    message = ldb.Message(dn)
    for name, value in values.items():
        message[name] = ldb.MessageElement([value], ldb.FLAG_MOD_REPLACE, name)
    database.modify(message, controls=controls)


def add(database, person):
    states = person["states"]
    control = NORMAL
    if "disabled" in states:
        control |= DISABLED
    if "never_expires" in states:
        control |= NEVER_EXPIRES
    dn = ldb.Dn(database, "CN=Users," + str(database.domain_dn()))
    dn.add_child("CN=x")
    dn.set_component(0, "CN", person["cn"])
    message = ldb.Message(dn)
    message["objectClass"] = "user"
    message["sAMAccountName"] = person["sam"]
    message["userPrincipalName"] = person["upn"]
    message["userAccountControl"] = str(control)
    message["clearTextPassword"] = person["password"].encode("utf-16-le")
    if person["mail"]:
        message["mail"] = person["mail"]
    if "account_expired" in states:
        message["accountExpires"] = days_ago(2)
    if "no_hours" in states:
        message["logonHours"] = bytes(21)
    if "other_workstation" in states:
        message["userWorkstations"] = "FRONTDESK"
    database.add(message)
    if "must_change" in states:
        replace(database, dn, pwdLastSet="0")
    if "password_expired" in states:
        replace(database, dn, controls=[WRITE_ANY_PASSWORD_TIME], pwdLastSet=days_ago(100))


def main():
    wanted = json.load(sys.stdin)
    settings = LoadParm()
    settings.load(wanted["config"])
    database = SamDB(session_info=system_session(), lp=settings)
    half_an_hour = str(-30 * 60 * TICKS)
    replace(
        database,
        ldb.Dn(database, str(database.domain_dn())),
        lockoutThreshold=str(wanted["threshold"]),
        lockoutDuration=half_an_hour,
        lockOutObservationWindow=half_an_hour,
        maxPwdAge=str(-42 * DAY * TICKS),
        minPwdAge="0",
        minPwdLength="4",
        pwdProperties="0",
    )
    for person in wanted["people"]:
        add(database, person)


main()
