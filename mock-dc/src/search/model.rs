//! What a filter means, in the words of RFC 4511 4.5.1.7 and without any art: every object is looked at, every value is
//! compared, and links are followed until nothing new is found. Searches have to find the same.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::request::{Assertion, Filter, Substring};
use super::*;
use crate::domain::builtin::GroupScope;
use crate::domain::dialect::Dialect;
use crate::domain::fixture::{self, NOON as NOW, user, user_with};
use crate::domain::settings::GroupSettings;

const BASE: &str = "DC=corp,DC=example,DC=com";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    True,
    False,
    Undefined,
}

use Truth::{False, True, Undefined};

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { True } else { False }
    }
}

/// How the attributes here are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Name,
    Class,
    Unknown,
}

const ATTRIBUTES: [(&str, Kind); 11] = [
    ("sAMAccountName", Kind::Text),
    ("cn", Kind::Text),
    ("mail", Kind::Text),
    ("userPrincipalName", Kind::Text),
    ("displayName", Kind::Text),
    ("badPwdCount", Kind::Number),
    ("userAccountControl", Kind::Number),
    ("memberOf", Kind::Name),
    ("member", Kind::Name),
    ("objectClass", Kind::Class),
    ("noSuchAttribute", Kind::Unknown),
];

/// The classes that are asked for here.
const CLASSES: [&str; 2] = ["user", "group"];

/// Everything there is: attributes by name, of each object.
struct World {
    objects: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl World {
    fn of(domain: &Domain) -> Self {
        let object = |id| {
            let attributes = domain.attributes(DcId::FIRST, id, NOW);
            let texts = attributes.iter().map(|attribute| {
                let values = attribute.values.iter();
                let texts = values.map(|value| String::from_utf8_lossy(value).into_owned());
                (attribute.name.to_ascii_lowercase(), texts.collect())
            });
            (domain.dn_text(id), texts.collect())
        };
        let ids = domain.id_range().map(ObjectId::from);
        let ids = ids.filter(|id| NamingContext::of(domain, *id) == NamingContext::Domain);
        Self {
            objects: ids.map(object).collect(),
        }
    }

    fn values(&self, object: &str, attribute: &str) -> &[String] {
        self.objects[object]
            .get(&attribute.to_ascii_lowercase())
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    fn find(&self, filter: &Filter) -> BTreeSet<String> {
        let found = self.objects.keys().filter(|object| self.is(object, filter) == True);
        found.cloned().collect()
    }

    /// "A filter of the and choice is TRUE if all the filters in the SET OF evaluate to TRUE, FALSE if at least one is
    /// FALSE, and Undefined otherwise", and so on.
    fn is(&self, object: &str, filter: &Filter) -> Truth {
        let each = |parts: &[Filter]| parts.iter().map(|part| self.is(object, part)).collect::<Vec<_>>();
        match filter {
            Filter::And(parts) => match each(parts) {
                parts if parts.contains(&False) => False,
                parts if parts.contains(&Undefined) => Undefined,
                _ => True,
            },
            Filter::Or(parts) => match each(parts) {
                parts if parts.contains(&True) => True,
                parts if parts.contains(&Undefined) => Undefined,
                _ => False,
            },
            Filter::Not(part) => match self.is(object, part) {
                True => False,
                False => True,
                Undefined => Undefined,
            },
            Filter::Present(name) => match kind(name) {
                Kind::Unknown => Undefined,
                _ => (!self.values(object, name).is_empty()).into(),
            },
            Filter::Equality(name, value) | Filter::Approx(name, value) => self.equals(object, name, &text(value)),
            Filter::GreaterOrEqual(name, value) => self.ordered(object, name, &text(value), false),
            Filter::LessOrEqual(name, value) => self.ordered(object, name, &text(value), true),
            Filter::Substring(name, pattern) => match kind(name) {
                Kind::Text => {
                    let mut values = self.values(object, name).iter();
                    values.any(|value| has_parts(value, pattern)).into()
                }
                _ => Undefined,
            },
            Filter::Extensible(assertion) => self.by_rule(object, assertion),
        }
    }

    fn equals(&self, object: &str, name: &str, asked: &str) -> Truth {
        let mut values = self.values(object, name).iter();
        match kind(name) {
            Kind::Unknown => Undefined,
            Kind::Class if !CLASSES.iter().any(|class| class.eq_ignore_ascii_case(asked)) => Undefined,
            Kind::Name if !asked.contains('=') => Undefined,
            Kind::Number => match asked.parse::<i64>() {
                Ok(asked) => values.any(|value| value.parse() == Ok(asked)).into(),
                Err(_) => Undefined,
            },
            Kind::Text | Kind::Class | Kind::Name => {
                let asked = asked.to_lowercase();
                values.any(|value| value.to_lowercase() == asked).into()
            }
        }
    }

    fn ordered(&self, object: &str, name: &str, asked: &str, at_most: bool) -> Truth {
        let values = self.values(object, name).iter();
        match kind(name) {
            Kind::Text => {
                let asked = asked.to_uppercase();
                let mut values = values.map(|value| value.to_uppercase());
                let holds = |value: String| if at_most { value <= asked } else { value >= asked };
                values.any(holds).into()
            }
            Kind::Number => match asked.parse::<i64>() {
                Ok(asked) => {
                    let mut values = values.map(|value| value.parse::<i64>().unwrap());
                    let holds = |value: i64| if at_most { value <= asked } else { value >= asked };
                    values.any(holds).into()
                }
                Err(_) => Undefined,
            },
            _ => Undefined,
        }
    }

    fn by_rule(&self, object: &str, assertion: &Assertion) -> Truth {
        let (Some(name), Some(rule)) = (&assertion.attribute, &assertion.rule) else {
            panic!("no such filter is made here")
        };
        let asked = text(&assertion.value);
        let bits = |holds: fn(i64, i64) -> bool| match (kind(name), asked.parse()) {
            (Kind::Number, Ok(mask)) => {
                let mut values = self.values(object, name).iter().map(|value| value.parse().unwrap());
                values.any(|value| holds(value, mask)).into()
            }
            _ => Undefined,
        };
        match rule.as_str() {
            "1.2.840.113556.1.4.803" => bits(|value, mask| value & mask == mask),
            "1.2.840.113556.1.4.804" => bits(|value, mask| value & mask != 0),
            "1.2.840.113556.1.4.1941" => match kind(name) {
                Kind::Name if asked.contains('=') => self.reached(object, name).contains(&asked.to_lowercase()).into(),
                _ => Undefined,
            },
            _ => Undefined,
        }
    }

    /// Everything that the links of an object lead to, in lower case.
    fn reached(&self, object: &str, name: &str) -> BTreeSet<String> {
        let links = |of: &str| {
            let its = self.objects.keys().find(|object| object.to_lowercase() == of);
            its.map(|its| self.values(its, name)).unwrap_or_default()
        };
        let mut reached: BTreeSet<String> = BTreeSet::new();
        let mut next = links(&object.to_lowercase())
            .iter()
            .map(|link| link.to_lowercase())
            .collect::<BTreeSet<_>>();
        while next != reached {
            reached.clone_from(&next);
            let further = reached.iter().flat_map(|link| links(link));
            next.extend(further.map(|link| link.to_lowercase()));
        }
        reached
    }
}

fn kind(name: &str) -> Kind {
    ATTRIBUTES.iter().find(|(known, _)| *known == name).unwrap().1
}

fn text(value: &[u8]) -> String {
    String::from_utf8(value.to_vec()).unwrap()
}

fn has_parts(value: &str, pattern: &Substring) -> bool {
    let value = value.to_lowercase();
    let lower = |part: &Option<Vec<u8>>| part.as_deref().map(text).unwrap_or_default().to_lowercase();
    let (initial, last) = (lower(&pattern.initial), lower(&pattern.last));
    let Some(rest) = value.strip_prefix(&initial) else {
        return false;
    };
    let Some(mut rest) = rest.strip_suffix(last.as_str()) else {
        return false;
    };
    for part in &pattern.any {
        let part = text(part).to_lowercase();
        match rest.find(&part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Groups within groups, in a circle of three and in one of its own.
fn domain() -> Domain {
    let group = |name: &str, members: &[&str]| GroupSettings {
        name: name.to_owned(),
        path: None,
        scope: GroupScope::Global,
        members: members.iter().map(|member| (*member).to_owned()).collect(),
        rid: None,
    };
    let users = vec![
        user("good"),
        user_with("jane", "mail", "Jane.Doe@mail.example.org"),
        user_with("john", "displayName", "John Doe"),
    ];
    let mut settings = fixture::settings(Dialect::Windows, users, 2);
    settings.groups = vec![
        group("first", &["second", "good"]),
        group("second", &["third"]),
        group("third", &["first", "jane"]),
        group("self", &["self", "john"]),
    ];
    Domain::new(&settings, NOW)
}

fn found(domain: &Domain, filter: Filter) -> BTreeSet<String> {
    let request = SearchRequest {
        base: BASE.as_bytes().to_vec(),
        scope: Scope::Subtree,
        size_limit: 0,
        time_limit: 0,
        types_only: false,
        filter,
        attributes: vec!["1.1".to_owned()],
    };
    let client = Client {
        administrator: true,
        ldaps: false,
    };
    let mut search = Search::begin(domain, request, Options::default(), client).unwrap();
    let mut names = BTreeSet::new();
    loop {
        let (entries, done) = match search.step(domain, DcId::FIRST, NOW, Duration::ZERO) {
            Step::Entries(entries) => (entries, None),
            Step::Last(entries, done) => (entries, Some(done)),
        };
        for entry in entries {
            assert!(names.insert(entry.dn), "one was found twice");
        }
        if let Some(done) = done {
            assert_eq!(done.result.code, Code::Success);
            return names;
        }
    }
}

fn any_value() -> impl Strategy<Value = String> {
    let texts = prop::sample::select(vec![
        "good",
        "JANE",
        "user000001",
        "User000002@corp.example.com",
        "good@corp.example.com",
        "jane.doe@mail.example.org",
        "john doe",
        "Domain Admins",
        "0",
        "2",
        "512",
        "514",
        "-1",
        "abc",
        "user",
        "GROUP",
        "noSuchClass",
    ]);
    let names = prop::sample::select(vec![
        "CN=first,CN=Users",
        "cn=Second,cn=users",
        "CN=third,CN=Users",
        "CN=self,CN=Users",
        "CN=good,CN=Users",
        "CN=jane,CN=Users",
        "CN=Administrator,CN=Users",
        "CN=Administrators,CN=Builtin",
        "CN=nobody,CN=Users",
    ]);
    prop_oneof![
        texts.prop_map(str::to_owned),
        names.prop_map(|name| format!("{name},{BASE}"))
    ]
}

fn any_item() -> impl Strategy<Value = Filter> {
    let name = prop::sample::select(ATTRIBUTES.to_vec()).prop_map(|(name, _)| name.to_owned());
    let rule = prop::sample::select(vec!["803", "804", "1941", "1942"]);
    (name, any_value(), 0..9_u8, rule, 0..4_usize).prop_map(|(name, value, which, rule, cut)| {
        let bytes = value.clone().into_bytes();
        // Where a value is cut, it is text of one byte a letter.
        let (first, second) = value.split_at(cut.min(value.len()));
        let part = |text: &str| Some(text.as_bytes().to_vec()).filter(|part| !part.is_empty());
        match which {
            0 | 1 => Filter::Equality(name, bytes),
            2 => Filter::Approx(name, bytes),
            3 => Filter::Present(name),
            // No class comes before another.
            4 if name != "objectClass" => Filter::GreaterOrEqual(name, bytes),
            5 if name != "objectClass" => Filter::LessOrEqual(name, bytes),
            6 => Filter::Substring(
                name,
                Substring {
                    initial: part(first),
                    any: Vec::new(),
                    last: part(second),
                },
            ),
            7 => Filter::Substring(
                name,
                Substring {
                    initial: None,
                    any: [part(first), part(second)].into_iter().flatten().collect(),
                    last: None,
                },
            ),
            _ => Filter::Extensible(Assertion {
                rule: Some(format!("1.2.840.113556.1.4.{rule}")),
                attribute: Some(name),
                value: bytes,
                names_too: false,
            }),
        }
    })
}

fn any_filter() -> impl Strategy<Value = Filter> {
    any_item().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}

#[test]
fn groups_in_a_circle_lead_to_each_other_and_to_an_end() {
    let domain = domain();
    let links = |attribute: &str, to: &str| {
        found(
            &domain,
            Filter::Extensible(Assertion {
                rule: Some("1.2.840.113556.1.4.1941".to_owned()),
                attribute: Some(attribute.to_owned()),
                value: format!("CN={to},CN=Users,{BASE}").into_bytes(),
                names_too: false,
            }),
        )
    };
    let named = |names: &[&str]| -> BTreeSet<String> {
        names.iter().map(|name| format!("CN={name},CN=Users,{BASE}")).collect()
    };
    for group in ["first", "second", "third"] {
        assert_eq!(
            links("memberOf", group),
            named(&["first", "second", "third", "good", "jane"])
        );
    }
    assert_eq!(links("member", "jane"), named(&["first", "second", "third"]));
    assert_eq!(links("memberOf", "self"), named(&["self", "john"]));
    assert_eq!(links("member", "john"), named(&["self"]));
}

proptest! {
    #[test]
    fn searches_find_what_their_filters_mean(filter in any_filter()) {
        let domain = domain();
        prop_assert_eq!(found(&domain, filter.clone()), World::of(&domain).find(&filter));
    }
}
