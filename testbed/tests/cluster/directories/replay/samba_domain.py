"""Gives a Samba domain what a mock-dc configuration says: policy, units, people, fine-grained policies.

Reads JSON from standard input: the configuration's tables as they are, and "config", the path of smb.conf. Works on the
database itself, before the server is started: a password that was set long ago cannot be written over LDAP.
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

# groupType of security groups.
SCOPES = {"global": 0x2, "domain-local": 0x4, "universal": 0x8}
SECURITY_GROUP = -0x80000000

DISABLED, NORMAL, NEVER_EXPIRES, SMARTCARD = 0x2, 0x200, 0x10000, 0x40000


def filetime(seconds):
    return str(int((EPOCH + seconds) * TICKS))


def interval(seconds):
    return str(-seconds * TICKS)


def replace(database, dn, controls=None, **values):
    message = ldb.Message(dn)
    for name, value in values.items():
        message[name] = ldb.MessageElement([value], ldb.FLAG_MOD_REPLACE, name)
    database.modify(message, controls=controls)


def moment(text):
    return filetime(time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone)


def add(database, base, user, max_age_days):
    control = NORMAL | user.get("user_account_control_bits", 0)
    for key, bit in (("disabled", DISABLED), ("password_never_expires", NEVER_EXPIRES), ("smartcard_required", SMARTCARD)):
        if user.get(key):
            control |= bit
    dn = ldb.Dn(database, user["path"] + "," + base)
    dn.add_child("CN=x")
    dn.set_component(0, "CN", user.get("cn", user["sam"]))
    message = ldb.Message(dn)
    message["objectClass"] = "user"
    message["sAMAccountName"] = user["sam"]
    upn = user.get("upn", user["sam"] + "@corp.example.com")
    if upn:
        message["userPrincipalName"] = upn
    message["userAccountControl"] = str(control)
    message["clearTextPassword"] = user["password"].encode("utf-16-le")
    if "mail" in user:
        message["mail"] = user["mail"]
    if "display_name" in user:
        message["displayName"] = user["display_name"]
    for name, value in user.get("attributes", {}).items():
        message[name] = value
    if "account_expires" in user:
        message["accountExpires"] = moment(user["account_expires"])
    if "logon_hours" in user:
        message["logonHours"] = bytes(21) if user["logon_hours"] == "none" else bytes.fromhex(user["logon_hours"])
    if "workstations" in user:
        message["userWorkstations"] = ",".join(user["workstations"])
    database.add(message)
    if user.get("must_change"):
        replace(database, dn, pwdLastSet="0")
    if user.get("password_expired"):
        set_at = filetime(time.time() - (max_age_days + 1) * DAY)
        replace(database, dn, controls=[WRITE_ANY_PASSWORD_TIME], pwdLastSet=set_at)
    return str(dn)


def add_group(database, base, group):
    dn = "CN=%s,%s,%s" % (group["name"], group["path"], base)
    kind = str(SECURITY_GROUP | SCOPES[group.get("scope", "global")])
    database.add({"dn": dn, "objectClass": "group", "sAMAccountName": group["name"], "groupType": kind})
    return dn


def add_members(database, group, names):
    message = ldb.Message(ldb.Dn(database, names[group["name"]]))
    members = [names[member] for member in group.get("members", [])]
    if members:
        message["member"] = ldb.MessageElement(members, ldb.FLAG_MOD_ADD, "member")
        database.modify(message)


def add_settings(database, base, settings, policy, names):
    whole = {**policy, **settings}
    message = {
        "dn": "CN=%s,CN=Password Settings Container,CN=System,%s" % (settings["name"], base),
        "objectClass": "msDS-PasswordSettings",
        "msDS-PasswordSettingsPrecedence": str(settings["precedence"]),
        "msDS-PasswordReversibleEncryptionEnabled": "FALSE",
        "msDS-PasswordHistoryLength": str(whole["password_history"]),
        "msDS-PasswordComplexityEnabled": "TRUE" if whole["password_complexity"] else "FALSE",
        "msDS-MinimumPasswordLength": str(whole["min_password_length"]),
        "msDS-MinimumPasswordAge": interval(whole["min_password_age_days"] * DAY),
        "msDS-MaximumPasswordAge": interval(whole["max_password_age_days"] * DAY),
        "msDS-LockoutThreshold": str(whole["lockout_threshold"]),
        "msDS-LockoutObservationWindow": interval(whole["lockout_window_s"]),
        "msDS-LockoutDuration": interval(whole["lockout_duration_s"]),
        "msDS-PSOAppliesTo": [names[who] for who in settings["applies_to"]],
    }
    database.add(message)


def main():
    wanted = json.load(sys.stdin)
    parameters = LoadParm()
    parameters.load(wanted["config"])
    database = SamDB(session_info=system_session(), lp=parameters)
    base, policy = str(database.domain_dn()), wanted["policy"]
    replace(
        database,
        ldb.Dn(database, base),
        lockoutThreshold=str(policy["lockout_threshold"]),
        lockoutDuration=interval(policy["lockout_duration_s"]),
        lockOutObservationWindow=interval(policy["lockout_window_s"]),
        maxPwdAge=interval(policy["max_password_age_days"] * DAY),
        minPwdAge=interval(policy["min_password_age_days"] * DAY),
        minPwdLength=str(policy["min_password_length"]),
        pwdProperties="1" if policy["password_complexity"] else "0",
        pwdHistoryLength=str(policy["password_history"]),
    )
    for unit in wanted["organizational_units"]:
        above = unit["path"] + "," + base if "path" in unit else base
        dn = ldb.Dn(database, above)
        dn.add_child("OU=x")
        dn.set_component(0, "OU", unit["name"])
        database.add({"dn": dn, "objectClass": "organizationalUnit"})
    ages = {
        who: settings["max_password_age_days"]
        for settings in wanted["password_settings"]
        if "max_password_age_days" in settings
        for who in settings["applies_to"]
    }
    names = {}
    for user in wanted["users"]:
        names[user["sam"]] = add(database, base, user, ages.get(user["sam"], policy["max_password_age_days"]))
    for group in wanted["groups"]:
        names[group["name"]] = add_group(database, base, group)
    for group in wanted["groups"]:
        add_members(database, group, names)
    for settings in wanted["password_settings"]:
        add_settings(database, base, settings, policy, names)


main()
