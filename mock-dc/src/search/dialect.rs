//! What the two dialects do differently when they search.

use std::borrow::Cow;

use super::code::{Code, Refusal};
use crate::domain::dialect::Dialect;
use crate::domain::dn::Dn;

impl Dialect {
    /// Whether a filter has a third value beside true and false; to Samba what is undefined is false (measured).
    pub(super) fn knows_undefined(self) -> bool {
        self == Self::Windows
    }

    /// Whether `~=` is `=` (MS-ADTS 3.1.1.3.1.3.1). Samba gives up (measured).
    pub(super) fn approximates(self) -> bool {
        self == Self::Windows
    }

    /// Whether a matching rule that does not fit its attribute or value ends the search (measured).
    pub(super) fn gives_up_on_odd_bits(self) -> bool {
        self == Self::Samba
    }

    /// Whether a filter may use the constructed time stamps createTimeStamp and modifyTimeStamp (measured).
    pub(super) fn derives_time_stamps(self, name: &str) -> bool {
        self == Self::Samba && matches!(name, "createTimeStamp" | "modifyTimeStamp")
    }

    /// Whether a filter may name an attribute by its identifier (RFC 4512 2.5); Samba finds nothing then (measured).
    pub(super) fn knows_attributes_by_identifier(self) -> bool {
        self == Self::Windows
    }

    /// Whether `;binary` is understood behind an attribute's name; Samba finds nothing then (measured).
    pub(super) fn knows_attribute_options(self) -> bool {
        self == Self::Windows
    }

    /// Whether a range whose option is not written in small letters is read, and then not heeded (measured).
    pub(super) fn shows_all_of_other_ranges(self) -> bool {
        self == Self::Samba
    }

    /// Whether numbers and names of classes can be searched by parts and by their order (measured).
    pub(super) fn compares_everything_as_text(self) -> bool {
        self == Self::Samba
    }

    /// Whether any text is a number, with C's idea of which (measured).
    pub(super) fn reads_numbers_like_c(self) -> bool {
        self == Self::Samba
    }

    /// Whether a text that is no moment is the first of all (measured).
    pub(super) fn takes_no_time_for_the_first(self) -> bool {
        self == Self::Samba
    }

    /// Whether a control that has no value is refused with one that is not empty (measured). MS-ADTS says only that it has
    /// none.
    pub(super) fn refuses_needless_values(self) -> bool {
        self == Self::Samba
    }

    /// The refusal of a critical control that Samba has no module for (measured).
    pub(super) fn refuses_controls_of_windows(self, oid: &str) -> Option<Refusal> {
        let text = format!("Attempt to use critical non-registered control '{oid}'");
        (self == Self::Samba).then(|| Refusal::new(Code::UnavailableCriticalExtension, text))
    }

    /// Whether a page that is exactly full is told not to be the last (measured).
    pub(super) fn promises_empty_pages(self) -> bool {
        self == Self::Samba
    }

    /// Whether a base that is no name is refused before anything else (measured).
    pub(super) fn reads_names_first(self) -> bool {
        self == Self::Samba
    }

    /// Whether only the types are sent when only they are asked for; Samba sends the values, too (measured).
    pub(super) fn leaves_values_out(self) -> bool {
        self == Self::Windows
    }

    /// Whether an object is found of which nothing may be read (measured). Windows does not list it.
    pub(super) fn lists_what_nobody_may_read(self) -> bool {
        self == Self::Samba
    }

    /// Whether the RootDSE answers a filter that is true of it only; Samba does not look at the filter (measured).
    pub(super) fn filters_root_dse(self) -> bool {
        self == Self::Windows
    }

    /// Whether `(anr=x*)` is the only pattern of ambiguous names; Windows looks at how any pattern begins.
    pub(super) fn resolves_beginnings_only(self) -> bool {
        self == Self::Samba
    }

    /// Whether an identifier in a filter has to begin with a great S (measured).
    pub(super) fn reads_identifiers_exactly(self) -> bool {
        self == Self::Samba
    }

    /// The refusal of a filter that uses constructed attributes; Samba finds nothing instead (measured).
    pub(super) fn refuses_constructed(self) -> Option<Refusal> {
        let text = "0000216B: LdapErr: DSID-0C090EE8, comment: A filter was passed that uses constructed attributes, \
                    data 0, v4f7c\0";
        (self == Self::Windows).then(|| Refusal::new(Code::InappropriateMatching, text))
    }

    /// The refusal of a filter that could not be evaluated.
    pub(super) fn gave_up(self) -> Refusal {
        Refusal::new(
            Code::OperationsError,
            "00002020: Indexed and full searches both failed!\n",
        )
    }

    /// The refusal of tokenGroups and its like in a search that is not of its base alone. Samba says less where no index
    /// helps it (measured).
    pub(super) fn refuses_tokens_below(self, name: &str, by_index: bool) -> Refusal {
        let text: Cow<'static, str> = match self {
            // ERROR_DS_NON_BASE_SEARCH.
            Self::Windows => "00002120: SvcErr: DSID-03140A9E, problem 5012 (DIR_ERROR), data 0\n\0".into(),
            Self::Samba if !by_index => return self.gave_up(),
            Self::Samba => format!(
                "00002020: operational_search_post_process failed for attribute '{name}' - Cannot provide {name} \
                 attribute, this is not a BASE search"
            )
            .into(),
        };
        Refusal::new(Code::OperationsError, text)
    }

    /// Whether a search ends at its limits of size and time; Samba returns everything (measured).
    pub(super) fn limits_searches(self) -> bool {
        self == Self::Windows
    }

    /// The end of a search that finds more than its limit.
    pub(super) fn too_many(self) -> Refusal {
        Refusal::new(Code::SizeLimitExceeded, "")
    }

    /// The end of a search that takes longer than its limit.
    pub(super) fn out_of_time(self) -> Refusal {
        Refusal::new(Code::TimeLimitExceeded, "")
    }

    /// Whether every page but the last tells how many entries there are (measured); Windows does not count them.
    pub(super) fn tells_totals(self) -> bool {
        self == Self::Samba
    }

    /// The refusal of a cookie that was not given to this search; `readable`: it is another's.
    pub(super) fn refuses_cookie(self, readable: bool) -> Refusal {
        match (self, readable) {
            (Self::Windows, _) => Refusal::new(
                Code::UnavailableCriticalExtension,
                "00000057: LdapErr: DSID-0C090A2A, comment: Error processing control, data 0, v4f7c\0",
            ),
            (Self::Samba, false) => Refusal::new(
                Code::UnwillingToPerform,
                "error in module dsdb_paged_results: Unwilling to perform during LDB_SEARCH (53)",
            ),
            (Self::Samba, true) => Refusal::new(
                Code::UnavailableCriticalExtension,
                "error in module dsdb_paged_results: Unsupported critical extension during LDB_SEARCH (12)",
            ),
        }
    }

    /// The refusal of a first page without entries (measured).
    pub(super) fn refuses_empty_page(self) -> Option<Refusal> {
        let text = "error in module dsdb_paged_results: Operations error during LDB_SEARCH (1)";
        (self == Self::Samba).then(|| Refusal::new(Code::OperationsError, text))
    }

    /// Whether a sort that went well is told of; Samba is silent (measured).
    pub(super) fn tells_of_sorting(self) -> bool {
        self == Self::Windows
    }

    /// Whether nothing is sent when it cannot be sorted as asked (measured).
    pub(super) fn sends_nothing_unsorted(self) -> bool {
        self == Self::Samba
    }

    /// What is told to whoever sorts by several attributes.
    pub(super) fn one_sort_key_only(self) -> Option<&'static str> {
        (self == Self::Samba).then_some("sort control is not complete yet")
    }

    /// The referral to the controllers of another domain, for a base that is not of this one. Samba knows nobody else
    /// (measured).
    pub(super) fn refers_elsewhere(self, name: &str, base: &Dn) -> Option<Refusal> {
        if self == Self::Samba {
            return None;
        }
        let host = base.dns_name()?;
        let text = format!("0000202B: RefErr: DSID-0310084A, data 0, 1 access points\n\tref 1: '{host}'\n\0");
        Some(Refusal {
            referral: Some(format!("ldap://{host}/{name}")),
            ..Refusal::new(Code::Referral, text)
        })
    }

    /// The refusal of a base that is written as an identifier which nothing has.
    pub(super) fn no_such_identifier(self, base: &str, root: &Dn) -> Option<Cow<'static, str>> {
        if self != Self::Samba {
            return None;
        }
        // A well-known object of another domain is looked for there (measured).
        let well_known = base.get(..8).is_some_and(|kind| kind.eq_ignore_ascii_case("<WKGUID="));
        let container = base
            .split_once(',')
            .map(|(_, container)| container.trim_end_matches('>'));
        let elsewhere = container
            .filter(|container| well_known && Dn::parse(container).is_some_and(|container| !container.is_within(root)));
        Some(match elsewhere {
            Some(elsewhere) => format!("00002030: No such Base DN: {elsewhere}").into(),
            None => format!("Base-DN '{base}' not found").into(),
        })
    }

    /// The refusal of a search below the RootDSE.
    pub(super) fn no_base(self) -> Refusal {
        let text: Cow<'static, str> = match self {
            Self::Windows => self.no_such_object(""),
            Self::Samba => "empty base DN at ../../source4/dsdb/samdb/ldb_modules/partition.c:821".into(),
        };
        Refusal::new(Code::NoSuchObject, text)
    }
}
