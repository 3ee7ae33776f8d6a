//! Which attributes objects of a class must and may have (MS-ADSC, MS-ADA), as far as the schema here knows them: clients
//! make forms of it. Those of auxiliary classes (securityPrincipal, mailRecipient, posixAccount, samDomainBase) stand with
//! the class that they are added to.

/// Class, attributes that an object must have, and those that it may have beyond the ones of the classes above.
const ALL: &[(&str, &str, &str)] = &[
    (
        "top",
        "objectClass instanceType objectCategory",
        "cn description distinguishedName whenCreated whenChanged displayName uSNCreated isDeleted memberOf \
         uSNChanged showInAdvancedViewOnly proxyAddresses directReports wWWHomePage name objectGUID fSMORoleOwner \
         systemFlags url isCriticalSystemObject canonicalName msDS-PSOApplied structuralObjectClass createTimeStamp \
         modifyTimeStamp subSchemaSubEntry parentGUID",
    ),
    ("person", "cn", "sn telephoneNumber"),
    (
        "organizationalPerson",
        "",
        "c l st street ou title postalAddress postalCode postOfficeBox physicalDeliveryOfficeName \
         facsimileTelephoneNumber givenName initials generationQualifier houseIdentifier otherTelephone otherPager co \
         department company streetAddress otherHomePhone personalTitle homePostalAddress countryCode employeeID \
         comment division otherFacsimileTelephoneNumber otherMobile assistant ipPhone otherIpPhone mail manager \
         homePhone mobile pager middleName thumbnailPhoto",
    ),
    (
        "user",
        "sAMAccountName",
        "userCertificate givenName initials displayName employeeNumber employeeType homePostalAddress \
         userAccountControl badPwdCount codePage homeDirectory homeDrive badPasswordTime lastLogoff lastLogon \
         scriptPath logonHours userWorkstations unicodePwd pwdLastSet primaryGroupID profilePath adminCount \
         accountExpires logonCount userPrincipalName lockoutTime servicePrincipalName \
         msDS-User-Account-Control-Computed lastLogonTimestamp msDS-UserPasswordExpiryTimeComputed msDS-ResultantPSO \
         uid mail roomNumber manager homePhone mobile pager jpegPhoto carLicense departmentNumber preferredLanguage \
         objectSid sAMAccountType tokenGroups tokenGroupsGlobalAndUniversal tokenGroupsNoGCAcceptable \
         altSecurityIdentities msDS-KeyVersionNumber info legacyExchangeDN extensionAttribute1 extensionAttribute2 \
         extensionAttribute3 extensionAttribute4 extensionAttribute5 uidNumber gidNumber unixHomeDirectory loginShell \
         gecos",
    ),
    (
        "computer",
        "",
        "cn operatingSystem dNSHostName msDS-AdditionalSamAccountName",
    ),
    (
        "group",
        "groupType sAMAccountName",
        "member adminCount primaryGroupToken mail objectSid sAMAccountType tokenGroups tokenGroupsGlobalAndUniversal \
         tokenGroupsNoGCAcceptable altSecurityIdentities msDS-KeyVersionNumber info legacyExchangeDN \
         extensionAttribute1 extensionAttribute2 extensionAttribute3 extensionAttribute4 extensionAttribute5 \
         gidNumber",
    ),
    ("container", "cn", ""),
    (
        "organizationalUnit",
        "ou",
        "c l st street postalAddress postalCode postOfficeBox physicalDeliveryOfficeName telephoneNumber \
         facsimileTelephoneNumber co countryCode uPNSuffixes",
    ),
    ("domain", "dc", ""),
    (
        "domainDNS",
        "",
        "msDS-Behavior-Version lockOutObservationWindow lockoutDuration lockoutThreshold maxPwdAge minPwdAge \
         minPwdLength pwdHistoryLength pwdProperties ms-DS-MachineAccountQuota objectSid",
    ),
    ("foreignSecurityPrincipal", "objectSid", ""),
    (
        "msDS-PasswordSettings",
        "msDS-MaximumPasswordAge msDS-MinimumPasswordAge msDS-MinimumPasswordLength msDS-PasswordHistoryLength \
         msDS-PasswordComplexityEnabled msDS-PasswordReversibleEncryptionEnabled msDS-LockoutObservationWindow \
         msDS-LockoutDuration msDS-LockoutThreshold msDS-PasswordSettingsPrecedence",
        "msDS-PSOAppliesTo",
    ),
    ("configuration", "cn", ""),
    ("dMD", "cn", ""),
    ("crossRefContainer", "", "uPNSuffixes msDS-Behavior-Version"),
    (
        "crossRef",
        "cn nCName dnsRoot",
        "nETBIOSName nTMixedDomain msDS-Behavior-Version",
    ),
    ("server", "", "dNSHostName"),
    ("nTDSDSA", "", "msDS-Behavior-Version"),
    ("subSchema", "", "modifyTimeStamp"),
];

/// The attributes that objects of a class must, and may, have.
pub(super) fn of(class: &str) -> [Vec<&'static str>; 2] {
    let found = ALL.iter().find(|(name, ..)| *name == class);
    let (must, may) = found.map_or(("", ""), |(_, must, may)| (*must, *may));
    [must, may].map(|names| names.split_whitespace().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::schema;
    use crate::search::classes;

    #[test]
    fn every_attribute_is_some_classs_and_no_other_is_named() {
        let listed = ALL.iter().flat_map(|(_, must, may)| [must, may]);
        let listed: BTreeSet<_> = listed.flat_map(|names| names.split_whitespace()).collect();
        // Which is nobody's to see, and yet is there to be written.
        let known = schema::ALL.iter().map(|known| known.name).chain(["unicodePwd"]);
        assert_eq!(listed, known.collect());
        for (name, ..) in ALL {
            assert!(classes::ALL.iter().any(|class| class.name == *name), "{name}");
        }
    }
}
